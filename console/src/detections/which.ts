// Which detections are shown, and how they are put together.

import type { Row } from '../api/types.ts'

/** What detections are grouped by. */
export const GROUPINGS = { kind: 'by kind', rule: 'by rule' } as const
export type Grouping = keyof typeof GROUPINGS

export interface Which {
  cat?: string | undefined
  rule?: string | undefined
  /** A span of time, in seconds; the end is not part of it. */
  from?: number | undefined
  until?: number | undefined
}

export const secondOf = (row: Row) => (row.routing?.event_time ?? 0) / 1_000
/** The rule that made it, by the name that it has in the list of rules; empty for what no rule of the organization made. */
export const ruleOf = (row: Row) => (typeof row.source_rule === 'string' ? row.source_rule.replace(/^general\./, '') : '')

export function isAmong(row: Row, { cat, rule, from, until }: Which): boolean {
  const second = secondOf(row)
  return (
    (!cat || row.cat === cat) &&
    (!rule || ruleOf(row) === rule) &&
    (from === undefined || second >= from) &&
    (until === undefined || second < until)
  )
}

export interface Group {
  name: string
  count: number
  hosts: number
  /** When the newest happened, in milliseconds. */
  newest: number
}

/** Detections by their kind or by their rule; those with most first. */
export function grouped(rows: readonly Row[], by: Grouping): Group[] {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const name = by === 'rule' ? ruleOf(row) : String(row.cat)
    groups.set(name, [...(groups.get(name) ?? []), row])
  }
  const all = [...groups].map(([name, of]) => ({
    name,
    count: of.length,
    hosts: new Set(of.map((row) => row.routing?.sid)).size,
    newest: Math.max(...of.map((row) => row.routing?.event_time ?? 0)),
  }))
  return all.sort((a, b) => b.count - a.count || a.name.localeCompare(b.name))
}
