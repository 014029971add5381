import { useState } from 'react'
import { Submit } from '../look/Submit.tsx'
import { useSend } from '../look/useSend.ts'
import { dataOf, type ObjectSchema, sorted } from './form.ts'
import { SchemaField } from './SchemaField.tsx'

interface Props {
  schema: ObjectSchema
  /** What is stored already. */
  values?: Record<string, unknown>
  does: string
  isReadOnly?: boolean
  send: (data: Record<string, unknown>) => Promise<void>
}

/** A form for what a schema describes. The server is the judge; its sentence stands below. */
export function SchemaForm({ schema, values = {}, does, isReadOnly = false, send }: Props) {
  const fields = sorted(schema)
  const [lacks, setLacks] = useState<string[]>([])
  const { failure, submit, busy } = useSend(async (form) => {
    const { data, wrong } = dataOf(schema, (name) => String(form.get(name) ?? ''), values)
    setLacks(wrong)
    if (!wrong.length) await send(data)
  }, true)
  return (
    <form onSubmit={submit} className="form">
      <fieldset className="bare form" disabled={isReadOnly}>
        {fields.map(([name, element]) => (
          <SchemaField key={name} name={name} element={element} value={values[name]} />
        ))}
      </fieldset>
      {lacks.map((text) => (
        <p key={text} role="alert" className="bad">
          {text}
        </p>
      ))}
      {!isReadOnly && <Submit does={does} busy={busy} what="It was refused" failure={failure} />}
    </form>
  )
}
