import { useId } from 'react'
import { type Element, inputOf, labelOf } from './form.ts'

/** One field of a form, by its type. */
export function SchemaField({ name, element }: { name: string; element: Element }) {
  const id = useId()
  const input = inputOf(element)
  const shared = { id, name, 'aria-describedby': `${id}about`, placeholder: element.placeholder ?? '' }
  const given = element.default_value ?? ''
  const begin = typeof given === 'string' ? given : JSON.stringify(given)
  if (input === 'check')
    return (
      <label className="line" title={element.description ?? ''}>
        <input type="checkbox" name={name} defaultChecked={element.default_value === true} />
        {labelOf(name, element)}
        <span className="soft">{element.description}</span>
      </label>
    )
  return (
    <div className="field">
      <label htmlFor={id}>{labelOf(name, element)}</label>
      {input === 'choice' ? (
        <select id={id} name={name} aria-describedby={`${id}about`} defaultValue={begin}>
          <option value="">–</option>
          {(element.enum_values ?? []).map((value) => (
            <option key={String(value)}>{String(value)}</option>
          ))}
        </select>
      ) : input === 'lines' || input === 'json' ? (
        <textarea {...shared} className="mono" rows={4} spellCheck={false} defaultValue={begin} />
      ) : (
        <input
          {...shared}
          step="any"
          type={input === 'number' ? 'number' : input === 'secret' ? 'password' : 'text'}
          autoComplete={input === 'secret' ? 'new-password' : 'off'}
          defaultValue={begin}
        />
      )}
      <small id={`${id}about`}>
        {element.description}
        {element.is_list && input === 'lines' && ' One a line.'}
        {input === 'json' && ' As JSON.'}
      </small>
    </div>
  )
}
