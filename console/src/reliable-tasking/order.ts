import type { Target } from '../api/types.ts'
import { curlOf } from '../look/curl.ts'
import { quoted } from '../look/quoted.ts'
import { counted } from '../look/words.ts'
import { type Conditions, conditionOptions, conditionWords } from './conditions.ts'

/** What a task does, in one sentence. */
export function sentence({ task, perSecond, dynamic, conditions }: Order, total: number, online: number, expiry: string) {
  const sensors = counted(total, 'sensor')
  const offline = total - online
  const off = offline ? ` (${offline.toLocaleString('en')} of them offline now: each runs it when it is back)` : ''
  const later = dynamic ? ', and on sensors that match later' : ''
  const when = conditions ? `, ${conditionWords(conditions)}` : ''
  return `Runs “${task}” on ${sensors}${off}${later}${when}, until ${expiry}${perSecond ? `; at most ${perSecond} a second` : ''}.`
}

export interface Order {
  task: string
  selector: string
  ttl: number
  context?: string | undefined
  dynamic?: boolean | undefined
  urgent?: boolean | undefined
  perSecond?: number | undefined
  conditions?: Conditions | undefined
  task_id?: string
}

/** The fields of the request. */
export const fieldsOf = (order: Order) => ({
  task: order.task,
  selector: order.selector,
  ttl: order.ttl,
  ...(order.context ? { context: order.context } : {}),
  ...(order.dynamic ? { dynamic: true } : {}),
  ...(order.urgent ? { urgent: true } : {}),
  ...(order.perSecond ? { pace: { max_per_second: order.perSecond } } : {}),
  ...(order.conditions ? { conditions: order.conditions } : {}),
  ...(order.task_id ? { task_id: order.task_id } : {}),
})

/** The same as a line of the command line. */
export const asCommandLine = (order: Order) =>
  [
    'muster reliable-task create',
    quoted(order.task),
    `--selector ${quoted(order.selector)}`,
    `--ttl ${order.ttl}s`,
    order.context && `--context ${quoted(order.context)}`,
    order.dynamic && '--dynamic',
    order.urgent && '--urgent',
    order.perSecond && `--max-per-second ${order.perSecond}`,
    order.conditions && conditionOptions(order.conditions),
  ]
    .filter(Boolean)
    .join(' ')

/** The same for curl. */
export const asCurl = (order: Order, root: string, oid: string) =>
  curlOf(root, 'POST', '/v1/extension/request/ext-reliable-tasking', { oid, action: 'task', data: JSON.stringify(fieldsOf(order)) })

const cell = (value: unknown) => {
  const text = value === null || value === undefined ? '' : String(value)
  // A spreadsheet must not take a host name for a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
const COLUMNS = ['sid', 'hostname', 'state', 'online', 'attempts', 'sent', 'confirmed', 'started', 'ended', 'code', 'error'] as const
const TIMES: readonly string[] = ['sent', 'confirmed', 'started', 'ended']

/** Targets as CSV, times in ISO. */
export const asCsv = (targets: Target[]) =>
  [
    COLUMNS.join(),
    ...targets.map((target) =>
      COLUMNS.map((name) => {
        const value = target[name]
        return cell(TIMES.includes(name) && typeof value === 'number' ? new Date(value).toISOString() : value)
      }).join(),
    ),
  ].join('\n')
