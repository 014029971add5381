import { useId, useState } from 'react'
import { call } from '../api/client.ts'
import { notify } from '../look/notices.tsx'
import { Submit } from '../look/Submit.tsx'
import { useSend } from '../look/useSend.ts'
import { DESTINATIONS, type Field, FORMAT, filtersOf, STREAMS, WAYS } from './fields.ts'
import { OutputField } from './OutputField.tsx'

interface Props {
  path: string
  /** One that is to be changed; absent for a new one. */
  output?: Record<string, unknown> | undefined
  done: () => void
}

/** Makes an output or changes one: where it sends to, which records, and how they look. */
export function OutputForm({ path, output, done }: Props) {
  const [stream, setStream] = useState(String(output?.for ?? 'detect'))
  const [module, setModule] = useState(String(output?.module ?? 'webhook'))
  const id = useId()
  const { failure, submit, busy } = useSend(async (form) => {
    const fields = Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()]))
    await call('POST', path, fields)
    notify(`The output ${fields.name} is ${output ? 'changed' : 'made'}.`)
    done()
  })
  const destination = DESTINATIONS[module] ?? []
  const filters = filtersOf(stream)
  // What this form does not ask for is kept as it is.
  const asked = new Set([...Object.values(DESTINATIONS).flat(), ...filters, ...FORMAT].map((field) => field.name))
  const rest = Object.entries(output ?? {}).filter(([name]) => !asked.has(name) && !['name', 'for', 'module', 'oid'].includes(name))
  const shown = (fields: Field[]) =>
    fields.map((field) => <OutputField key={`${module} ${field.name}`} field={field} value={output?.[field.name]} />)
  const isSet = (fields: Field[]) => fields.some(({ name }) => output?.[name])
  return (
    <form onSubmit={submit} className="form">
      {rest.map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={typeof value === 'string' ? value : JSON.stringify(value)} />
      ))}
      {output ? (
        <input type="hidden" name="name" value={String(output.name)} />
      ) : (
        <div className="field">
          <label htmlFor={`${id}name`}>Name</label>
          <input id={`${id}name`} name="name" required />
        </div>
      )}
      <div className="columns">
        <Choice label="What it sends" name="type" means={STREAMS} value={stream} change={setStream} />
        <Choice label="By" name="module" means={WAYS} value={module} change={setModule} />
      </div>
      {shown(destination)}
      <details open={isSet(filters)}>
        <summary>Only some of it</summary>
        <div className="form">
          <p className="soft">Lists are written one a line. All that is set must be so.</p>
          {shown(filters)}
        </div>
      </details>
      <details open={isSet(FORMAT)}>
        <summary>How a record looks</summary>
        <div className="form">{shown(FORMAT)}</div>
      </details>
      <Submit
        does={output ? 'Change it' : 'Make it'}
        busy={busy}
        what={`The output was not ${output ? 'changed' : 'made'}`}
        failure={failure}
      />
    </form>
  )
}

interface ChoiceProps {
  label: string
  name: string
  /** What can be chosen, with what it means. */
  means: Record<string, string>
  value: string
  change: (value: string) => void
}

function Choice({ label, name, means, value, change }: ChoiceProps) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} name={name} value={value} onChange={(event) => change(event.target.value)}>
        {Object.keys(means).map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
      <small>{means[value]}</small>
    </div>
  )
}
