// Two kinds of rules are written, checked and kept in the same way: in a hive each.

import type { Row } from '../api/types.ts'
import { against, toFind } from './begin.ts'

export interface Kind {
  hive: string
  /** Below the organization. */
  path: 'rules' | 'false-positives'
  title: string
  one: string
  about: string
  see: string
  set: string
  del: string
  /** The same on the command line. */
  line: string
  template: string
  /** The rule that begins with something that happened. */
  begin: (row: Row) => unknown
}

export const RULES: Kind = {
  hive: 'dr-general',
  path: 'rules',
  title: 'D&R rules',
  one: 'rule',
  about: 'A rule looks at every event as it comes, and says what follows: a detection, a task, a tag.',
  see: 'dr.list',
  set: 'dr.set',
  del: 'dr.del',
  line: 'muster rule set NAME FILE',
  template: `detect:
  event: NEW_PROCESS
  op: ends with
  path: event/FILE_PATH
  value: /whoami
respond:
  - action: report
    name: whoami ran
`,
  begin: toFind,
}

export const FALSE_POSITIVES: Kind = {
  hive: 'fp',
  path: 'false-positives',
  title: 'False positives',
  one: 'false-positive rule',
  about: 'A false-positive rule looks at detections: one that matches is told to nobody.',
  see: 'fp.ctrl',
  set: 'fp.ctrl',
  del: 'fp.ctrl',
  line: 'limacharlie fp set --key NAME --input-file FILE',
  template: `op: and
rules:
  - op: is
    path: cat
    value: whoami ran
  - op: is
    path: routing/hostname
    value: build-1
`,
  begin: against,
}

/** A record of a hive, as the server keeps it. */
export interface RuleRecord {
  data: unknown
  usr_mtd: { enabled: boolean; expiry: number; tags: string[]; comment: string }
  sys_mtd: { etag: string; created_by: string; last_author: string; last_mod: number; last_error: string }
}

const COMPARISONS = ['is', 'contains', 'starts with', 'ends with', 'matches', 'exists', 'lookup', 'cidr', 'string distance']
const ABOUT_SENSORS = ['is linux', 'is windows', 'is mac', 'is platform', 'is tagged']
/** What may follow a key of a rule. */
export const WORDS = {
  op: ['and', 'or', ...COMPARISONS, 'is greater than', 'is lower than', ...ABOUT_SENSORS],
  action: ['report', 'task', 'add tag', 'remove tag', 'isolate network', 'rejoin network', 'extension request', 'wait', 'output'],
  event: [
    'NEW_PROCESS',
    'TERMINATE_PROCESS',
    'NETWORK_CONNECTIONS',
    'DNS_REQUEST',
    'NEW_DOCUMENT',
    'CODE_IDENTITY',
    'USER_OBSERVED',
    'CONNECTED',
    'RECEIPT',
  ],
  path: [
    'event/FILE_PATH',
    'event/COMMAND_LINE',
    'event/USER_NAME',
    'event/PARENT/FILE_PATH',
    'event/HASH',
    'routing/hostname',
    'routing/tags',
  ],
}
