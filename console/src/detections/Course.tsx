import type { Row } from '../api/types.ts'
import { lastBins } from '../chart/bins.ts'
import { LazyChart } from '../chart/LazyChart.tsx'
import { counted } from '../look/words.ts'

const BINS = 30

/** When the detections of the list happened. */
export function Course({ rows, span }: { rows: Row[]; span: number }) {
  const bins = lastBins(
    rows.map((row) => (row.routing?.event_time ?? 0) / 1_000),
    Date.now() / 1_000,
    span / BINS,
    BINS,
  )
  const sentence = `${counted(rows.length, 'detection')}; ${counted(Math.max(...bins.counts), 'detection')} in the busiest part of the time.`
  return <LazyChart label="Detections over time" sentence={sentence} bins={bins} />
}
