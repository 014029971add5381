// Processes as a tree, of the events that a sensor sent.

import type { Row } from '../api/types.ts'

export interface Process {
  /** Atom of the process. */
  id: string
  pid: number
  path: string
  line: string
  user: string
  /** Milliseconds since 1970. */
  began: number
  ended?: number
  children: Process[]
}
export interface Placed {
  process: Process
  /** 1 for what has no parent here. */
  level: number
}

type Said = Record<string, unknown>
const textOf = (said: Said, name: string) => (typeof said[name] === 'string' ? (said[name] as string) : '')

/** What began and ended, with children below their parents; the newest first among siblings. */
export function treeOf(begun: Row[], ended: Row[]): Process[] {
  const byId = new Map<string, Process>()
  const parents = new Map<string, string>()
  for (const row of begun) {
    const said = (row.event ?? {}) as Said
    const id = String(row.routing?.this ?? row.routing?.event_id)
    parents.set(id, String(row.routing?.parent ?? ''))
    byId.set(id, {
      id,
      pid: Number(said.PROCESS_ID ?? 0),
      path: textOf(said, 'FILE_PATH'),
      line: textOf(said, 'COMMAND_LINE'),
      user: textOf(said, 'USER_NAME'),
      began: row.routing?.event_time ?? 0,
      children: [],
    })
  }
  for (const row of ended) {
    const process = byId.get(String(row.routing?.parent ?? ''))
    if (process) process.ended = row.routing?.event_time ?? 0
  }
  const tops: Process[] = []
  for (const [id, process] of byId) {
    const parent = byId.get(parents.get(id) ?? '')
    if (parent && parent !== process) parent.children.push(process)
    else tops.push(process)
  }
  const newestFirst = (list: Process[]) => list.sort((a, b) => b.began - a.began)
  for (const process of byId.values()) newestFirst(process.children)
  return newestFirst(tops)
}

/** The rows that are shown: those below a closed one are not. */
export function placed(tops: Process[], closed: ReadonlySet<string>): Placed[] {
  const rows: Placed[] = []
  // Newest last on the stack is taken first; a loop among atoms cannot hold it up, since each is shown once.
  const seen = new Set<string>()
  const waiting: Placed[] = tops.map((process) => ({ process, level: 1 })).reverse()
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { process, level } = next
    if (seen.has(process.id)) continue
    seen.add(process.id)
    rows.push(next)
    if (!closed.has(process.id)) waiting.push(...process.children.map((child) => ({ process: child, level: level + 1 })).reverse())
  }
  return rows
}

/** Those whose line or path holds a text, with all above them. */
export function matching(tops: Process[], words: string): Process[] {
  const needle = words.toLowerCase()
  if (!needle) return tops
  const kept = (process: Process): Process[] => {
    const children = process.children.flatMap(kept)
    const isHit = `${process.path} ${process.line} ${process.user} ${process.pid}`.toLowerCase().includes(needle)
    return isHit || children.length ? [{ ...process, children }] : []
  }
  return tops.flatMap(kept)
}
