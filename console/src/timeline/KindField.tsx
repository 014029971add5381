import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'

/** Kinds are counted over so many seconds. */
const SPAN_S = 7 * 86_400

/** The kinds of events that a sensor sent of late, with their counts. */
export function KindField({ sid, kind, choose }: { sid: string; kind: string; choose: (kind: string) => void }) {
  const { oid } = useOrganization()
  const counts = useQuery({
    queryKey: ['kinds', oid, sid],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const fields = { start: end - SPAN_S, end, is_detailed: true }
      return call<{ by_type: Record<string, number> }>('GET', `/v1/insight/event_count/${oid}/${sid}`, fields, signal)
    },
    enabled: oid !== '',
  })
  const kinds = Object.entries(counts.data?.by_type ?? {}).sort(([a], [b]) => a.localeCompare(b))
  if (kind && !kinds.some(([name]) => name === kind)) kinds.unshift([kind, 0])
  return (
    <select aria-label="Kind of event" value={kind} onChange={(event) => choose(event.target.value)}>
      <option value="">every kind</option>
      {kinds.map(([name, count]) => (
        <option key={name} value={name}>
          {name} ({count.toLocaleString('en')})
        </option>
      ))}
    </select>
  )
}
