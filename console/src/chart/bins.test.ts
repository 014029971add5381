import { expect, test } from 'vitest'
import { binned, lastBins, wholeBins } from './bins.ts'

test('instants are counted by the bin that they lie in, and those outside in none', () => {
  const { starts, counts } = lastBins([0, 3_599, 3_600, 7_199, 7_200, 10_800, -1], 7_300, 3_600, 2)
  expect(starts).toEqual([3_600, 7_200])
  expect(counts).toEqual([2, 1])
})

test('what is drawn over a chart is whole bins, whichever way it was drawn, and stays within the chart', () => {
  const bins = binned([], 1_000, 2_000, 10)
  expect(wholeBins(bins, 1_150, 1_320)).toEqual([1_100, 1_400])
  expect(wholeBins(bins, 1_320, 1_150)).toEqual([1_100, 1_400])
  expect(wholeBins(bins, 1_250, 1_250)).toEqual([1_200, 1_300])
  expect(wholeBins(bins, 500, 9_000)).toEqual([1_000, 2_000])
})
