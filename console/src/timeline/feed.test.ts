import { expect, test } from 'vitest'
import { add, emptyFeed, isGap, pause, resume } from './feed.ts'

const row = (id: number) => ({ routing: { event_id: `${id}` } })

test('what comes during a pause waits, and is shown in its order afterwards', () => {
  let feed = add(emptyFeed, [row(1)])
  feed = add(pause(feed), [row(2), row(3)])
  expect([feed.rows.length, feed.waiting.length]).toEqual([1, 2])
  feed = resume(feed)
  expect(feed.rows).toEqual([row(1), row(2), row(3)])
})

test('a row that comes by HTTP and live is shown once', () => {
  const feed = add(add(emptyFeed, [row(1), row(2)]), [row(2), row(3)])
  expect(feed.rows).toEqual([row(1), row(2), row(3)])
})

test('a long pause keeps the newest, and says how many it lost', () => {
  let feed = pause(emptyFeed)
  feed = add(
    feed,
    Array.from({ length: 2_500 }, (_, id) => row(id)),
  )
  const first = feed.waiting[0]
  expect(first && isGap(first) && first.missed).toBe(500)
  expect(feed.waiting.at(-1)).toEqual(row(2_499))
})
