// What a timeline shows of a stream: the newest rows, with a pause that loses nothing it can keep.

import type { Row } from '../api/types.ts'

const SHOWN_MAX = 500
const WAITING_MAX = 2_000

export interface Feed {
  rows: (Row | Gap)[]
  /** What came while it was paused. */
  waiting: (Row | Gap)[]
  isPaused: boolean
}
export interface Gap {
  missed: number
  key: string
}
export const isGap = (row: Row | Gap): row is Gap => 'missed' in row

export const emptyFeed: Feed = { rows: [], waiting: [], isPaused: false }

const idOf = (row: Row | Gap) => (isGap(row) ? row.key : String(row.routing?.event_id ?? row.detect_id ?? JSON.stringify(row)))

/** Adds rows at the end; those that are there already are left out. */
export function add(feed: Feed, fresh: (Row | Gap)[]): Feed {
  const known = new Set([...feed.rows, ...feed.waiting].map(idOf))
  const news = fresh.filter((row) => !known.has(idOf(row)))
  if (!news.length) return feed
  if (!feed.isPaused) return { ...feed, rows: [...feed.rows, ...news].slice(-SHOWN_MAX) }
  const all = [...feed.waiting, ...news]
  const lost = all.length - WAITING_MAX
  const waiting = lost > 0 ? [{ missed: lost, key: `lost ${idOf(all[lost] as Row)}` }, ...all.slice(lost)] : all
  return { ...feed, waiting }
}

export const pause = (feed: Feed): Feed => ({ ...feed, isPaused: true })
export const resume = (feed: Feed): Feed => ({ rows: [...feed.rows, ...feed.waiting].slice(-SHOWN_MAX), waiting: [], isPaused: false })
export const clear = (feed: Feed): Feed => ({ ...feed, rows: [], waiting: [] })
