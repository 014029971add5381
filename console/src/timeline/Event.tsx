import { Link } from '@tanstack/react-router'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { Copy } from '../look/Copy.tsx'
import { curlOf } from '../look/curl.ts'
import { JsonTree } from '../look/JsonTree.tsx'
import { Time } from '../look/Time.tsx'

/** One event: a line, and everything when it is opened. */
export function Event({ row }: { row: Row }) {
  const { org, oid, may } = useOrganization()
  const text = JSON.stringify(row.event)
  const sid = String(row.routing?.sid)
  const atom = typeof row.routing?.this === 'string' ? row.routing.this : undefined
  return (
    <details className="event">
      <summary>
        <Time ms={row.routing?.event_time} /> <strong>{row.routing?.event_type}</strong>{' '}
        <span className="soft mono">{text?.slice(0, 160)}</span>
      </summary>
      <JsonTree value={row} unfolded={['event', 'routing']} />
      <div className="line">
        <Copy text={() => JSON.stringify(row, null, 2)}>Copy JSON</Copy>
        {atom && <Copy text={() => curlOf(location.origin, 'GET', `/v1/insight/${oid}/${sid}/${atom}`)}>Copy as curl</Copy>}
        {atom && may('dr.set') && (
          <Link className="button" to="/$org/rules/edit" params={{ org }} search={{ from: atom, sid }}>
            Rule from this…
          </Link>
        )}
      </div>
    </details>
  )
}
