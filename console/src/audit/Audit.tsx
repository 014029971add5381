import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { saveFile } from '../look/saveFile.ts'
import { TextFilter } from '../look/TextFilter.tsx'
import { Time } from '../look/Time.tsx'
import { counted } from '../look/words.ts'

interface Told extends Row {
  time?: number
  msg?: string
  ident?: string
  origin?: string
  entity?: { type?: string; name?: string; sid?: string }
  mtd?: { source_ip?: string; action?: string }
}
const SPAN_S = 30 * 86_400
const SHOWN_MAX = 1_000
const HEADS = [{ name: 'When' }, { name: 'What' }, { name: 'On', isWide: true }, { name: 'Who' }, { name: 'From', isWide: true }]

/** Who changed what, and from where. */
export function Audit() {
  const { oid, org, may } = useOrganization()
  const { find = '' } = useSearch({ from: '/$org/audit' })
  const navigate = useNavigate()
  const audit = useQuery({
    queryKey: ['audit', oid],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const fields = { start: end - SPAN_S, end, limit: SHOWN_MAX, is_forward: false }
      return call<{ events: Told[] }>('GET', `/v1/insight/${oid}/audit`, fields, signal).then((answer) => answer.events)
    },
    enabled: oid !== '' && may('audit.get'),
  })
  const needle = find.toLowerCase()
  const all = audit.data ?? []
  const shown = all.filter((row) => JSON.stringify(row).toLowerCase().includes(needle))
  return (
    <>
      <Head title="Audit">
        <TextFilter
          label="Only records with this text"
          text={find}
          change={(text) => void navigate({ to: '/$org/audit', params: { org }, search: { find: text || undefined }, replace: true })}
        />
        <span role="status" className="soft">
          {audit.data && `${counted(shown.length, 'record')}${all.length === SHOWN_MAX ? ' of the newest' : ''}`}
        </span>
        <button type="button" onClick={() => saveFile('audit.json', JSON.stringify(shown, null, 2))}>
          JSON
        </button>
      </Head>
      <div className="page">
        {!may('audit.get') && <Forbidden permission="audit.get" />}
        <Reading of={audit} what="The audit" />
        {audit.data && !shown.length && <Empty title="Nothing of this text in the last 30 days." />}
        {shown.length > 0 && (
          <ListTable
            label="Audit"
            heads={HEADS}
            rows={shown.map((row, at) => ({
              key: String(row.routing?.event_id ?? at),
              cells: [
                <Time key="when" ms={(row.time ?? 0) * 1000} />,
                row.msg,
                row.entity?.name ?? row.entity?.sid ?? row.entity?.type,
                row.ident,
                row.mtd?.source_ip,
              ],
            }))}
          />
        )}
      </div>
    </>
  )
}
