// The audit: who changed what, and from where.

import { call } from './client.ts'
import type { Row } from './types.ts'

export interface Told extends Row {
  time?: number
  msg?: string
  ident?: string
  origin?: string
  entity?: { type?: string; hive?: string; name?: string; sid?: string }
  mtd?: { source_ip?: string; action?: string; enabled?: boolean }
}
const SPAN_S = 30 * 86_400
/** Records that are read at once, the newest of the last 30 days. */
export const AUDIT_MAX = 1_000

export const auditQuery = (oid: string, isAllowed: boolean) => ({
  queryKey: ['audit', oid],
  queryFn: ({ signal }: { signal: AbortSignal }) => {
    const end = Math.ceil(Date.now() / 1000) + 60
    const fields = { start: end - SPAN_S, end, limit: AUDIT_MAX, is_forward: false }
    return call<{ events: Told[] }>('GET', `/v1/insight/${oid}/audit`, fields, signal).then((answer) => answer.events)
  },
  enabled: oid !== '' && isAllowed,
})
