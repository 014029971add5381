import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { auditQuery } from '../api/audit.ts'
import { useOrganization } from '../api/session.ts'
import { Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import type { Kind } from './kinds.ts'

const HEADS = [{ name: 'When' }, { name: 'What' }, { name: 'Who' }, { name: 'From', isWide: true }]

/** Who changed a rule and when, as the audit tells it. What it said before is kept nowhere. */
export function History({ kind, name }: { kind: Kind; name: string }) {
  const { oid, org, may } = useOrganization()
  const read = useQuery(auditQuery(oid, may('audit.get')))
  if (!may('audit.get')) return <Forbidden permission="audit.get" />
  const all = (read.data ?? []).filter(({ entity }) => entity?.type === 'hive' && entity.hive === kind.hive && entity.name === name)
  return (
    <>
      <Reading of={read} what="The history" />
      {read.data && !all.length && <p className="soft">Nothing of it stands in the audit of the last 30 days.</p>}
      {all.length > 0 && (
        <ListTable
          label="History"
          heads={HEADS}
          rows={all.map((row, at) => ({
            key: String(row.routing?.event_id ?? at),
            cells: [
              <Time key="when" ms={(row.time ?? 0) * 1000} ago />,
              `${row.msg}${row.mtd?.enabled === false ? ', not in force' : ''}`,
              row.ident,
              row.mtd?.source_ip,
            ],
          }))}
        />
      )}
      {all.length > 0 && (
        <p>
          <Link to="/$org/audit" params={{ org }} search={{ find: name }}>
            All of it in the audit
          </Link>
        </p>
      )}
    </>
  )
}
