// Rules that begin with something that happened.

import type { Row } from '../api/types.ts'

/** Fields of events that tell most, in this order. */
const TELLING = ['FILE_PATH', 'COMMAND_LINE', 'DOMAIN_NAME', 'USER_NAME', 'HASH', 'MESSAGE']
/** Fields that a rule begins with, at most. */
const FIELDS_MAX = 3

/** A false-positive rule for what a detection was. */
export const against = (detection: Row) => ({
  op: 'and',
  rules: [
    { op: 'is', path: 'cat', value: detection.cat },
    { op: 'is', path: 'routing/hostname', value: detection.routing?.hostname },
  ],
})

/** A rule that finds such an event again. */
export function toFind(row: Row) {
  const event = row.routing?.event_type ?? ''
  const fields = (row.event && typeof row.event === 'object' ? row.event : {}) as Record<string, unknown>
  const texts = Object.keys(fields).filter((name) => typeof fields[name] === 'string' && fields[name] !== '')
  const rank = (name: string) => (TELLING.includes(name) ? TELLING.indexOf(name) : TELLING.length)
  const chosen = texts.sort((a, b) => rank(a) - rank(b)).slice(0, FIELDS_MAX)
  const rules = chosen.map((name) => ({ op: 'is', path: `event/${name}`, value: fields[name] }))
  const [only] = rules
  const found = !only ? { op: 'exists', path: 'event' } : rules.length === 1 ? only : { op: 'and', rules }
  return { detect: { event, ...found }, respond: [{ action: 'report', name: `${event} as it was seen` }] }
}
