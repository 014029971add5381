import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Copy } from '../look/Copy.tsx'
import { Delete } from '../look/Delete.tsx'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { Submit } from '../look/Submit.tsx'
import { Time } from '../look/Time.tsx'
import { useSend } from '../look/useSend.ts'

interface Key {
  iid: string
  desc: string
  tags: string
  key: string
  created: number
  quota: number
}

const HEADS = [
  { name: 'For' },
  { name: 'Tags', isWide: true },
  { name: 'Sensors at most', isWide: true, isNumber: true },
  { name: 'Made', isWide: true },
  { name: 'Acts' },
]

/** Keys with which sensors enrol: one line to type on each machine. */
export function InstallationKeys() {
  const { oid, may } = useOrganization()
  const path = `/v1/installationkeys/${oid}`
  const keys = useQuery({
    queryKey: ['installation-keys', oid],
    queryFn: ({ signal }) => call<Record<string, Record<string, Key>>>('GET', path, {}, signal).then((answer) => answer[oid] ?? {}),
    enabled: oid !== '' && may('ikey.list'),
  })
  const { failure, submit, busy } = useSend(async (form) => {
    const text = (name: string) => String(form.get(name) ?? '').trim()
    await call('POST', path, { desc: text('desc'), tags: text('tags'), quota: text('quota') })
    notify('The key is made. Copy its line to the machines.')
    await keys.refetch()
  })
  const all = Object.values(keys.data ?? {}).sort((a, b) => b.created - a.created)
  return (
    <>
      <Head title="Installation keys" />
      <div className="page">
        {!may('ikey.list') && <Forbidden permission="ikey.list" />}
        <Reading of={keys} what="Keys" />
        {keys.data && !all.length && (
          <Empty title="No installation keys yet.">
            <p>A sensor enrols with such a key. Whoever has one can enrol machines, and read nothing.</p>
          </Empty>
        )}
        {all.length > 0 && (
          <ListTable
            label="Installation keys"
            heads={HEADS}
            rows={all.map((key) => ({
              key: key.iid,
              cells: [
                key.desc || <code>{key.iid}</code>,
                key.tags,
                key.quota || 'no limit',
                <Time key="made" ms={key.created * 1000} />,
                <span key="acts" className="line">
                  <Copy text={`sudo muster-sensor --install ${key.key}`}>Copy for Linux</Copy>
                  <Copy text={`muster-sensor.exe --install ${key.key}`}>Copy for Windows</Copy>
                  {may('ikey.del') && (
                    <Delete
                      name={key.desc || key.iid}
                      remove={() => call('DELETE', path, { iid: key.iid })}
                      then={() => void keys.refetch()}
                    >
                      Sensors that enrolled with it stay. No other can enrol with it.
                    </Delete>
                  )}
                </span>,
              ],
            }))}
          />
        )}
        {may('ikey.set') && (
          <section className="panel">
            <h2>Make a key</h2>
            <form onSubmit={submit} className="form">
              <div className="field">
                <label htmlFor="desc">For</label>
                <input id="desc" name="desc" required placeholder="laptops of the east wing" />
              </div>
              <div className="field">
                <label htmlFor="tags">Tags of the sensors that enrol with it</label>
                <input id="tags" name="tags" placeholder="none; several are joined by commas" />
              </div>
              <div className="field">
                <label htmlFor="quota">Sensors at most</label>
                <input id="quota" name="quota" type="number" min={0} placeholder="no limit" />
              </div>
              <Submit does="Make it" busy={busy} what="The key was not made" failure={failure} />
            </form>
          </section>
        )}
      </div>
    </>
  )
}
