import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { Copy } from '../look/Copy.tsx'
import { Dialog } from '../look/Dialog.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { Lineage } from './Lineage.tsx'
import { ruleOf } from './which.ts'

/** One detection: the event that made it, and where to go from it. */
export function DetectionPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const { oid, org, may } = useOrganization()
  const read = useQuery({
    queryKey: ['detection', oid, id],
    queryFn: ({ signal }) => call<Row>('GET', `/v1/insight/${oid}/detections/${encodeURIComponent(id)}`, {}, signal),
    staleTime: Infinity,
  })
  const row = read.data
  const rule = row && ruleOf(row)
  return (
    <Dialog title={row ? String(row.cat) : 'Detection'} onClose={onClose}>
      <Reading of={read} what="The detection" gone="There is no such detection." />
      {row && (
        <>
          <dl className="facts">
            <div>
              <dt>Host</dt>
              <dd>
                <Link to="/$org/sensors/$sid" params={{ org, sid: String(row.routing?.sid) }}>
                  {row.routing?.hostname || row.routing?.sid}
                </Link>
              </dd>
            </div>
            <div>
              <dt>Time</dt>
              <dd>
                <Time ms={row.routing?.event_time} ago />
              </dd>
            </div>
            {rule && (
              <div>
                <dt>Rule</dt>
                <dd>
                  <Link to="/$org/rules/edit" params={{ org }} search={{ name: rule }}>
                    {rule}
                  </Link>
                </dd>
              </div>
            )}
          </dl>
          {typeof row.routing?.parent === 'string' && <Lineage sid={String(row.routing.sid)} parent={row.routing.parent} />}
          <pre className="code" tabIndex={0}>
            {JSON.stringify(row.detect ?? row, null, 2)}
          </pre>
        </>
      )}
      <div className="actions">
        {row && <Copy text={() => JSON.stringify(row, null, 2)}>Copy JSON</Copy>}
        {row && may('fp.ctrl') && (
          <Link className="button" to="/$org/false-positives/edit" params={{ org }} search={{ from: id }}>
            False positive…
          </Link>
        )}
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
