import { useQuery } from '@tanstack/react-query'
import { useId } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { Failure, Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { sizeOf } from '../look/size.ts'
import { Time } from '../look/Time.tsx'
import { useSend } from '../look/useSend.ts'

interface Payload {
  name: string
  size: number
  by: string
  created: number
  sha256: string
}
const HEADS = [
  { name: 'Name' },
  { name: 'Size', isNumber: true },
  { name: 'SHA-256', isWide: true },
  { name: 'Brought', isWide: true },
  { name: 'Acts' },
]

/** Only what leads to this server is followed. */
const below = (address: string) => new URL(address).pathname

/** Files that `put` and `run --payload-name` bring to machines. */
export function Payloads() {
  const { oid, may } = useOrganization()
  const path = `/v1/payload/${oid}`
  const id = useId()
  const payloads = useQuery({
    queryKey: ['payloads', oid],
    queryFn: ({ signal }) =>
      call<{ payloads: Record<string, Payload> }>('GET', path, {}, signal).then((answer) => Object.values(answer.payloads)),
    enabled: oid !== '' && may('payload.ctrl'),
  })
  const again = () => void payloads.refetch()
  const { failure, submit, busy } = useSend(async (form) => {
    const file = form.get('file') as File
    const { put_url } = await call<{ put_url: string }>('POST', `${path}/${encodeURIComponent(file.name)}`)
    const answer = await fetch(below(put_url), { method: 'PUT', body: file, headers: { 'x-muster-console': '1' } })
    if (!answer.ok) throw new Error(await answer.text())
    notify(`${file.name} is a payload now.`)
    again()
  })
  if (!may('payload.ctrl')) return <Forbidden permission="payload.ctrl" />
  return (
    <section className="panel">
      <h2>Payloads</h2>
      <Reading of={payloads} what="Payloads" />
      {payloads.data?.length === 0 && <p className="soft">None yet. Tasks bring them to machines: run --payload-name NAME.</p>}
      {payloads.data && payloads.data.length > 0 && (
        <ListTable
          label="Payloads"
          heads={HEADS}
          rows={payloads.data.map((payload) => ({
            key: payload.name,
            cells: [
              payload.name,
              sizeOf(payload.size),
              <code key="digest">{payload.sha256}</code>,
              <Time key="when" ms={payload.created * 1000} />,
              <Delete
                key="delete"
                name={payload.name}
                remove={() => call('DELETE', `${path}/${encodeURIComponent(payload.name)}`)}
                then={again}
              >
                Tasks that name it fail on machines that have not fetched it yet.
              </Delete>,
            ],
          }))}
        />
      )}
      <form onSubmit={submit} className="line">
        <label htmlFor={id}>Add a file</label>
        <input id={id} name="file" type="file" required />
        <button type="submit" disabled={busy}>
          {busy ? 'Sending…' : 'Send'}
        </button>
      </form>
      {failure !== undefined && <Failure what="The file did not arrive" error={failure} />}
    </section>
  )
}
