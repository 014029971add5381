import { expect, test } from 'vitest'
import { grouped, isAmong } from './which.ts'

const row = (cat: string, rule: string, sid: string, event_time: number) => ({
  cat,
  source_rule: `general.${rule}`,
  routing: { sid, event_time },
})
const ROWS = [row('a', 'one', 's1', 1_000), row('a', 'two', 's2', 3_000), row('b', 'two', 's2', 2_000)]

test('detections are grouped by kind or by rule, those with most first', () => {
  expect(grouped(ROWS, 'kind').map(({ name, count, hosts }) => [name, count, hosts])).toEqual([
    ['a', 2, 2],
    ['b', 1, 1],
  ])
  expect(grouped(ROWS, 'rule')[0]).toEqual({ name: 'two', count: 2, hosts: 1, newest: 3_000 })
})

test('a span of time has its beginning and not its end, and filters are an and', () => {
  const among = (which: Parameters<typeof isAmong>[1]) => ROWS.filter((one) => isAmong(one, which)).length
  expect(among({})).toBe(3)
  expect(among({ from: 1, until: 3 })).toBe(2)
  expect(among({ from: 1, until: 3, rule: 'two' })).toBe(1)
  expect(among({ cat: 'b', rule: 'one' })).toBe(0)
})
