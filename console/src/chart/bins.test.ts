import { expect, test } from 'vitest'
import { lastBins } from './bins.ts'

test('instants are counted by the bin that they lie in, and those outside in none', () => {
  const { starts, counts } = lastBins([0, 3_599, 3_600, 7_199, 7_200, 10_800, -1], 7_300, 3_600, 2)
  expect(starts).toEqual([3_600, 7_200])
  expect(counts).toEqual([2, 1])
})
