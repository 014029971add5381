import type { Row } from '../api/types.ts'
import { binned, lastBins } from '../chart/bins.ts'
import { LazyChart } from '../chart/LazyChart.tsx'
import { counted } from '../look/words.ts'
import { secondOf, type Which } from './which.ts'

const BINS = 30

interface Props {
  rows: Row[]
  /** Seconds until now, where no span of time was chosen. */
  last: number
  which: Which
  choose: (from: number, until: number) => void
}

/** When the detections of the list happened; what is chosen in it is a filter by time. */
export function Course({ rows, last, which: { from, until }, choose }: Props) {
  const instants = rows.map(secondOf)
  const bins =
    from !== undefined && until !== undefined
      ? binned(instants, from, until, BINS)
      : lastBins(instants, Date.now() / 1_000, last / BINS, BINS)
  const sentence = `${counted(rows.length, 'detection')}; ${counted(Math.max(...bins.counts), 'detection')} in the busiest part of the time.`
  return <LazyChart label="Detections over time" sentence={sentence} bins={bins} choose={choose} />
}
