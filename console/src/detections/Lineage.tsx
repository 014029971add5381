import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'

/** Of a longer command line the beginning is shown; the event has all of it. */
const LINE_MAX = 160

/** The processes above the one that was detected, nearest first. */
export function Lineage({ sid, parent }: { sid: string; parent: string }) {
  const { oid, may } = useOrganization()
  const isAllowed = may('insight.evt.get')
  const read = useQuery({
    queryKey: ['lineage', oid, sid, parent],
    queryFn: ({ signal }) =>
      call<{ events: Row[] }>('GET', `/v1/insight/${oid}/${sid}/${parent}/lineage`, {}, signal).then((answer) => answer.events),
    enabled: isAllowed,
    staleTime: Infinity,
  })
  if (!isAllowed) return null
  return (
    <section className="lineage" tabIndex={0} aria-label="Where it came from">
      <h3>Where it came from, nearest first</h3>
      <Reading of={read} what="Its parents" />
      {read.data?.length === 0 && <p className="soft">No event of its parent is kept.</p>}
      <ol>
        {read.data?.map((row) => (
          <li key={String(row.routing?.event_id)}>
            <code>{nameOf(row).slice(0, LINE_MAX)}</code>{' '}
            <span className="soft">
              {process(row)}, <Time ms={row.routing?.event_time} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  )
}

const of = (row: Row) => (row.event ?? {}) as Record<string, unknown>
const nameOf = (row: Row) => String(of(row).COMMAND_LINE || of(row).FILE_PATH || row.routing?.event_type)
const process = (row: Row) => {
  const { PROCESS_ID: pid, USER_NAME: user } = of(row)
  return [pid && `process ${pid}`, user && `of ${user}`].filter(Boolean).join(' ')
}
