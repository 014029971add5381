import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { AUDIT_MAX, auditQuery } from '../api/audit.ts'
import { useOrganization } from '../api/session.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { saveFile } from '../look/saveFile.ts'
import { TextFilter } from '../look/TextFilter.tsx'
import { Time } from '../look/Time.tsx'
import { counted } from '../look/words.ts'

const HEADS = [{ name: 'When' }, { name: 'What' }, { name: 'On', isWide: true }, { name: 'Who' }, { name: 'From', isWide: true }]

/** Who changed what, and from where. */
export function Audit() {
  const { oid, org, may } = useOrganization()
  const { find = '' } = useSearch({ from: '/$org/audit' })
  const navigate = useNavigate()
  const audit = useQuery(auditQuery(oid, may('audit.get')))
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
          {audit.data && `${counted(shown.length, 'record')}${all.length === AUDIT_MAX ? ' of the newest' : ''}`}
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
