import { useEffect, useRef, useState } from 'react'
import { Submit } from '../look/Submit.tsx'
import { useSend } from '../look/useSend.ts'
import { dataOf, type Wrong, wrongOf } from './data.ts'
import { type ObjectSchema, sorted } from './form.ts'
import { Mistakes } from './Mistakes.tsx'
import { SchemaField } from './SchemaField.tsx'

interface Props {
  schema: ObjectSchema
  /** What is stored already. */
  values?: Record<string, unknown>
  does: string
  isReadOnly?: boolean
  send: (data: Record<string, unknown>) => Promise<void>
}

/** A form for what a schema describes. The server is the judge; what it refuses stands at its field, if it names one. */
export function SchemaForm({ schema, values = {}, does, isReadOnly = false, send }: Props) {
  const fields = sorted(schema)
  const [lacks, setLacks] = useState<Wrong[]>([])
  const box = useRef<HTMLFormElement>(null)
  const { failure, submit, busy } = useSend(async (form) => {
    const { data, wrong } = dataOf(schema, (name) => String(form.get(name) ?? ''), values)
    setLacks(wrong)
    if (!wrong.length) await send(data)
  }, true)
  const refused = failure instanceof Error ? wrongOf(schema, failure.message) : undefined
  const wrongs = lacks.length || !refused ? lacks : [refused]
  useEffect(() => {
    if (wrongs.length) box.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus()
  }, [wrongs.length])
  return (
    <form ref={box} onSubmit={submit} className="form">
      <Mistakes.Provider value={wrongs}>
        <fieldset className="bare form" disabled={isReadOnly}>
          {fields.map(([name, element]) => (
            <SchemaField key={name} name={name} element={element} value={values[name]} />
          ))}
        </fieldset>
      </Mistakes.Provider>
      {wrongs.map(
        ({ path, text }) =>
          path === undefined && (
            <p key={text} role="alert" className="bad">
              {text}
            </p>
          ),
      )}
      {!isReadOnly && <Submit does={does} busy={busy} what="It was refused" failure={lacks.length || refused ? undefined : failure} />}
    </form>
  )
}
