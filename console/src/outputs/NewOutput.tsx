import { useId, useState } from 'react'
import { call } from '../api/client.ts'
import { notify } from '../look/notices.tsx'
import { Submit } from '../look/Submit.tsx'
import { useSend } from '../look/useSend.ts'

const STREAMS = ['detect', 'event', 'audit', 'deployment', 'artifact', 'tailored']
/** What each kind of output asks for: the field, how it is called, an example. */
const FIELDS: Record<string, [string, string, string][]> = {
  webhook: [
    ['dest_host', 'Address', 'https address that takes JSON'],
    ['secret_key', 'Secret for its signature', ''],
  ],
  webhook_bulk: [
    ['dest_host', 'Address', 'https address that takes JSON'],
    ['secret_key', 'Secret for its signature', ''],
  ],
  syslog: [['dest_host', 'Host and port', 'syslog.example.org:601']],
  file: [['dir', 'Folder below outputs/ of the server', 'detections']],
}

/** Makes an output; asks for what its kind needs. */
export function NewOutput({ path, made }: { path: string; made: () => void }) {
  const [module, setModule] = useState('webhook')
  const id = useId()
  const { failure, submit, busy } = useSend(async (form) => {
    const fields = Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()]))
    await call('POST', path, fields)
    notify(`The output ${fields.name} is made.`)
    made()
  })
  return (
    <section className="panel">
      <h2>Make an output</h2>
      <form onSubmit={submit} className="form">
        <div className="field">
          <label htmlFor={`${id}name`}>Name</label>
          <input id={`${id}name`} name="name" required aria-describedby={`${id}about`} />
          <small id={`${id}about`}>One that has this name already is replaced: that is how its settings are mended.</small>
        </div>
        <div className="columns">
          <div className="field">
            <label htmlFor={`${id}type`}>What it sends</label>
            <select id={`${id}type`} name="type">
              {STREAMS.map((stream) => (
                <option key={stream}>{stream}</option>
              ))}
            </select>
          </div>
          <div className="field">
            <label htmlFor={`${id}module`}>By</label>
            <select id={`${id}module`} name="module" value={module} onChange={(event) => setModule(event.target.value)}>
              {Object.keys(FIELDS).map((kind) => (
                <option key={kind}>{kind}</option>
              ))}
            </select>
          </div>
        </div>
        {(FIELDS[module] ?? []).map(([name, label, example]) => (
          <div className="field" key={name}>
            <label htmlFor={`${id}${name}`}>{label}</label>
            <input
              id={`${id}${name}`}
              name={name}
              placeholder={example}
              type={name === 'secret_key' ? 'password' : 'text'}
              autoComplete="off"
            />
          </div>
        ))}
        <Submit does="Make it" busy={busy} what="The output was not made" failure={failure} />
      </form>
    </section>
  )
}
