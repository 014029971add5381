import { useMutation, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { complain } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { sizeOf } from '../look/size.ts'
import { Time } from '../look/Time.tsx'

interface Artifact {
  payload_id: string
  path: string
  source: string
  sid: string | null
  size: number
  ts: number
}
const SPAN_S = 30 * 86_400
const HEADS = [
  { name: 'Path' },
  { name: 'Size', isNumber: true },
  { name: 'From', isWide: true },
  { name: 'Came', isWide: true },
  { name: 'Acts' },
]

/** Files that came from machines, or from one, of the last 30 days. */
export function Artifacts({ sid }: { sid?: string }) {
  const { oid, org, may } = useOrganization()
  const artifacts = useQuery({
    queryKey: ['artifacts', oid, sid],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const fields = { start: end - SPAN_S, end, sid }
      return call<{ logs: Artifact[]; next_cursor?: string | null }>('GET', `/v1/insight/${oid}/artifacts`, fields, signal)
    },
    enabled: oid !== '' && may('insight.list'),
  })
  const fetchIt = useMutation({
    mutationFn: (id: string) => call<{ export: string }>('POST', `/v1/insight/${oid}/artifacts/originals/${id}`),
    // The address works once, for whoever asked.
    onSuccess: (answer) => location.assign(new URL(answer.export).pathname),
    onError: (error) => complain('The file cannot be had', error),
  })
  if (!may('insight.list')) return <Forbidden permission="insight.list" />
  const all = artifacts.data?.logs ?? []
  return (
    <section className="panel">
      <h2>Artifacts</h2>
      <Reading of={artifacts} what="Artifacts" />
      {artifacts.data && !all.length && <p className="soft">None in the last 30 days. The command artifact_get PATH makes some.</p>}
      {all.length > 0 && (
        <ListTable
          label="Artifacts"
          heads={HEADS}
          rows={all.map((one) => ({
            key: one.payload_id,
            cells: [
              one.path || one.payload_id,
              sizeOf(one.size),
              one.sid ? (
                <Link key="from" to="/$org/sensors/$sid" params={{ org, sid: one.sid }}>
                  {one.source || one.sid}
                </Link>
              ) : (
                one.source
              ),
              <Time key="when" ms={one.ts * 1000} />,
              may('insight.evt.get') && (
                <button key="get" type="button" onClick={() => fetchIt.mutate(one.payload_id)}>
                  Save
                </button>
              ),
            ],
          }))}
        />
      )}
      {artifacts.data?.next_cursor && <p className="soft">The newest {all.length} are shown.</p>}
    </section>
  )
}
