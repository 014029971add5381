import { expect, test, vi } from 'vitest'
import { BLOCK, RowWindow } from './RowWindow.ts'

interface Row {
  id: string
  online: boolean
}
const settle = () => new Promise((done) => setTimeout(done, 0))
const of = (total: number, changed = () => {}) => {
  const fetch = vi.fn(async (offset: number, limit: number) => ({
    rows: Array.from({ length: Math.min(limit, total - offset) }, (_, at) => ({ id: `${offset + at}`, online: false })),
    total,
  }))
  return { fetch, rows: new RowWindow<Row>(fetch, (row) => row.id, changed) }
}

test('only blocks that come into view are fetched, each once', async () => {
  const { fetch, rows } = of(100_000)
  rows.want(BLOCK - 1, BLOCK)
  rows.want(0, 10)
  await settle()
  expect(fetch.mock.calls.map(([offset]) => offset)).toEqual([0, BLOCK])
  expect(rows.total).toBe(100_000)
  expect(rows.row(BLOCK)?.id).toBe(`${BLOCK}`)
  expect(rows.row(5 * BLOCK)).toBeUndefined()
})

test('a change reaches its row, wherever that is, and unknown rows are left alone', async () => {
  const changed = vi.fn()
  const { rows } = of(1_000, changed)
  rows.want(300, 310)
  await settle()
  changed.mockClear()
  rows.patch(
    [
      { id: '305', online: true },
      { id: '900', online: true },
    ],
    (change) => change.id ?? '',
  )
  expect(rows.row(305)?.online).toBe(true)
  expect(changed).toHaveBeenCalledOnce()
})

test('memory is bounded: the farthest blocks are dropped, and fetched again when they are wanted', async () => {
  const { fetch, rows } = of(100_000)
  for (let block = 0; block < 60; block++) {
    rows.want(block * BLOCK, block * BLOCK)
    await settle()
  }
  expect(rows.row(0)).toBeUndefined()
  expect(rows.row(59 * BLOCK)).toBeDefined()
  const before = fetch.mock.calls.length
  rows.want(0, 1)
  await settle()
  expect(fetch.mock.calls.length).toBe(before + 1)
})

test('after a gap what is shown is fetched anew and stays visible meanwhile', async () => {
  const { fetch, rows } = of(1_000)
  rows.want(0, 500)
  await settle()
  const before = fetch.mock.calls.length
  rows.again(0, 10)
  expect(rows.row(3)).toBeDefined()
  expect(rows.row(450)).toBeUndefined()
  await settle()
  expect(fetch.mock.calls.length).toBe(before + 1)
})
