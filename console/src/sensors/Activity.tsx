import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { lastBins } from '../chart/bins.ts'
import { LazyChart } from '../chart/LazyChart.tsx'
import { counted } from '../look/words.ts'

const AGAIN_MS = 30_000
const HOUR_S = 3_600
const HOURS = 24

/** When a machine told of events in the last day. */
export function Activity({ sid }: { sid: string }) {
  const { oid, may } = useOrganization()
  const read = useQuery({
    queryKey: ['activity', oid, sid],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const fields = { start: end - (HOURS + 1) * HOUR_S, end }
      return call<{ overview: number[] }>('GET', `/v1/insight/${oid}/${sid}/overview`, fields, signal).then((answer) => answer.overview)
    },
    enabled: oid !== '' && may('insight.evt.get'),
    refetchInterval: AGAIN_MS,
  })
  if (!read.data?.length) return null
  const bins = lastBins(read.data, Date.now() / 1_000, HOUR_S, HOURS)
  const all = bins.counts.reduce((sum, count) => sum + count, 0)
  return (
    <section className="panel">
      <h2>Seconds with events, by the hour</h2>
      <LazyChart label="Seconds with events" sentence={`${counted(all, 'second')} in the last ${HOURS} hours.`} bins={bins} />
    </section>
  )
}
