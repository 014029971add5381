import { useQuery } from '@tanstack/react-query'
import { useId, useState } from 'react'
import { call } from '../api/client.ts'
import { organizationOf, sessionQuery, useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Once } from '../look/Once.tsx'
import { Reading } from '../look/Reading.tsx'
import { Submit } from '../look/Submit.tsx'
import { Time } from '../look/Time.tsx'
import { useSend } from '../look/useSend.ts'
import { counted } from '../look/words.ts'

interface ApiKey {
  name: string
  priv: string[]
  by: string
  allowed_ip_range: string
  created: number
}
const HEADS = [
  { name: 'Name' },
  { name: 'May', isWide: true },
  { name: 'From', isWide: true },
  { name: 'Made', isWide: true },
  { name: 'Acts' },
]

/** Keys of programs. */
export function ApiKeys() {
  const { oid, org, may } = useOrganization()
  const session = useQuery(sessionQuery).data
  const own = (session && organizationOf(session, org)?.permissions) ?? []
  const path = `/v1/orgs/${oid}/keys`
  const [secret, setSecret] = useState<string>()
  const id = useId()
  const keys = useQuery({
    queryKey: ['api-keys', oid],
    queryFn: ({ signal }) => call<{ api_keys: Record<string, ApiKey> }>('GET', path, {}, signal).then((answer) => answer.api_keys),
    enabled: oid !== '' && may('apikey.ctrl'),
  })
  const again = () => void keys.refetch()
  const { failure, submit, busy } = useSend(async (form) => {
    const fields = {
      key_name: String(form.get('name')).trim(),
      perms: form.getAll('perm').join(','),
      allowed_ip_range: String(form.get('range')).trim(),
    }
    setSecret((await call<{ api_key: string }>('POST', path, fields)).api_key)
    again()
  })
  if (!may('apikey.ctrl')) return <Forbidden permission="apikey.ctrl" />
  return (
    <section className="panel">
      <h2>API keys</h2>
      <Reading of={keys} what="Keys" />
      {keys.data && (
        <ListTable
          label="API keys"
          heads={HEADS}
          rows={Object.entries(keys.data).map(([hash, key]) => ({
            key: hash,
            cells: [
              key.name,
              <details key="may">
                <summary>{counted(key.priv.length, 'permission')}</summary>
                <code>{key.priv.join(' ')}</code>
              </details>,
              key.allowed_ip_range || 'anywhere',
              <Time key="made" ms={key.created * 1000} />,
              <Delete key="delete" name={key.name} remove={() => call('DELETE', path, { key_hash: hash })} then={again}>
                Programs that use it are refused at once.
              </Delete>,
            ],
          }))}
        />
      )}
      <details>
        <summary>Make an API key</summary>
        <form onSubmit={submit} className="form">
          <div className="field">
            <label htmlFor={`${id}name`}>Name</label>
            <input id={`${id}name`} name="name" required />
          </div>
          <div className="field">
            <label htmlFor={`${id}range`}>May be used from (CIDR)</label>
            <input id={`${id}range`} name="range" placeholder="anywhere; or 192.0.2.0/24" />
          </div>
          <fieldset className="checks">
            <legend>May</legend>
            {own.map((permission) => (
              <label key={permission} className="line">
                <input type="checkbox" name="perm" value={permission} />
                {permission}
              </label>
            ))}
          </fieldset>
          <Submit does="Make it" busy={busy} what="The key was not made" failure={failure} />
        </form>
      </details>
      {secret && <Once title="The new API key" secret={secret} onClose={() => setSecret(undefined)} />}
    </section>
  )
}
