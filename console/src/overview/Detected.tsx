import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { lastBins } from '../chart/bins.ts'
import { LazyChart } from '../chart/LazyChart.tsx'
import { counted } from '../look/words.ts'

const AGAIN_MS = 30_000
const HOUR_S = 3_600
const HOURS = 24
/** Detections that are counted; the newest. */
const READ_MAX = 1_000

/** What rules detected in the last day, by the hour. */
export function Detected() {
  const { oid, org } = useOrganization()
  const read = useQuery({
    queryKey: ['detected', oid],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const fields = { start: end - (HOURS + 1) * HOUR_S, end, limit: READ_MAX, is_forward: false }
      return call<{ detects: Row[] }>('GET', `/v1/insight/${oid}/detections`, fields, signal).then((answer) => answer.detects)
    },
    enabled: oid !== '',
    refetchInterval: AGAIN_MS,
  })
  if (!read.data?.length) return null
  const bins = lastBins(
    read.data.map((row) => (row.routing?.event_time ?? 0) / 1_000),
    Date.now() / 1_000,
    HOUR_S,
    HOURS,
  )
  const all = bins.counts.reduce((sum, count) => sum + count, 0)
  const sentence = `${counted(all, 'detection')} in the last ${HOURS} hours; ${counted(Math.max(...bins.counts), 'detection')} in the hour with most.`
  return (
    <section className="panel">
      <h2>
        <Link to="/$org/detections" params={{ org }}>
          Detections
        </Link>{' '}
        by the hour
      </h2>
      {read.data.length === READ_MAX && <p className="soft">The newest {READ_MAX.toLocaleString('en')} are counted.</p>}
      <LazyChart label="Detections" sentence={sentence} bins={bins} />
    </section>
  )
}
