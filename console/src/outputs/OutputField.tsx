import { useId } from 'react'
import type { Field } from './fields.ts'

/** One setting of an output. `value` is what is set in it now. */
export function OutputField({ field, value }: { field: Field; value: unknown }) {
  const id = useId()
  const { name, label, about, example, input } = field
  if (input === 'check')
    return (
      <label className="line">
        <input type="checkbox" name={name} value="true" defaultChecked={/^(true|1)$/i.test(String(value))} />
        {label}
      </label>
    )
  const begin = Array.isArray(value) ? value.join('\n') : String(value ?? '')
  const shared = { id, name, placeholder: example, autoComplete: 'off', 'aria-describedby': about ? `${id}about` : undefined }
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {input === 'lines' ? (
        <textarea {...shared} className="mono" rows={2} spellCheck={false} defaultValue={begin} />
      ) : (
        <input {...shared} type={{ text: 'text', secret: 'password', number: 'number' }[input]} min={1} defaultValue={begin} />
      )}
      {about && <small id={`${id}about`}>{about}</small>}
    </div>
  )
}
