import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { LiveTranscript } from '../api/types.ts'
import { Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { saveFile } from '../look/saveFile.ts'
import { sizeOf } from '../look/size.ts'
import { Time } from '../look/Time.tsx'
import { visible } from '../look/visible.ts'

const ORDERS = [{ name: 'Order' }, { name: 'When', isWide: true }, { name: 'By', isWide: true }, { name: 'How it ended' }]
const FILES = [{ name: 'File' }, { name: 'Way' }, { name: 'Size', isNumber: true, isWide: true }, { name: 'SHA-256', isWide: true }]

interface Order {
  id: number
  name: string
  /** As it was given: in the words of either form. */
  obj: { object?: unknown; path?: unknown; pid?: unknown }
  by?: string
  creation_time: number
  status: string
  result_desc: string
  result_code: number
}
interface Moved {
  id: string
  name: string
  size: number
  sha256?: string | null
  is_upload: boolean
  is_deleted: boolean
}

/** All that was done in a live session. */
export function Transcript() {
  const { oid, may } = useOrganization()
  const { session } = useParams({ from: '/$org/transcripts/$session' })
  const read = useQuery({
    queryKey: ['transcript', oid, session],
    queryFn: ({ signal }) => call<LiveTranscript>('GET', `/v1/live/${oid}/transcripts/${encodeURIComponent(session)}`, {}, signal),
    enabled: oid !== '' && may('audit.get'),
  })
  const told = read.data
  const orders = (told?.commands ?? []) as unknown as Order[]
  const files = (told?.files ?? []) as unknown as Moved[]
  return (
    <>
      <Head title={`Live session ${session}`} within="Transcript">
        <span className="grow" />
        {told && (
          <button type="button" onClick={() => saveFile(`transcript-${session.replace(':', '-')}.json`, JSON.stringify(told, null, 2))}>
            JSON
          </button>
        )}
      </Head>
      <div className="page">
        {!may('audit.get') && <Forbidden permission="audit.get" />}
        <Reading of={read} what="The transcript" gone="There is no such session." />
        {told && (
          <>
            <p>
              Opened by <strong>{told.by}</strong>, <Time ms={Date.parse(told.opened)} ago />;{' '}
              {told.ended ? (
                <>
                  ended <Time ms={Date.parse(told.ended)} ago />
                </>
              ) : (
                'it goes on'
              )}
              .
            </p>
            <section className="panel">
              <h2>Orders</h2>
              {!orders.length && <p className="soft">None.</p>}
              {orders.length > 0 && (
                <ListTable
                  label="Orders"
                  heads={ORDERS}
                  rows={orders.map((order) => ({
                    key: String(order.id),
                    cells: [
                      <span key="what">
                        {order.name} <code>{visible(String(order.obj.object ?? order.obj.path ?? order.obj.pid ?? ''))}</code>
                      </span>,
                      <Time key="when" ms={order.creation_time * 1000} />,
                      order.by,
                      order.status === 'error' ? (
                        <span key="end" className="bad">
                          {visible(order.result_desc) || `error ${order.result_code}`}
                        </span>
                      ) : (
                        order.status
                      ),
                    ],
                  }))}
                />
              )}
            </section>
            {files.length > 0 && (
              <section className="panel">
                <h2>Files that were moved</h2>
                <ListTable
                  label="Files that were moved"
                  heads={FILES}
                  rows={files.map((file) => ({
                    key: file.id,
                    cells: [
                      `${visible(file.name)}${file.is_deleted ? ' (deleted here since)' : ''}`,
                      file.is_upload ? 'to the machine' : 'from the machine',
                      sizeOf(file.size),
                      <code key="hash">{file.sha256}</code>,
                    ],
                  }))}
                />
              </section>
            )}
          </>
        )}
      </div>
    </>
  )
}
