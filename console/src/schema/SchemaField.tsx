import { useId } from 'react'
import { choicesOf, type Element, inputOf, itemsOf, labelOf, partsOf, pathOf, sorted, valuesOf, written } from './form.ts'
import { useWrong, WrongText } from './Mistakes.tsx'
import { SchemaItems } from './SchemaItems.tsx'

interface Props {
  name: string
  /** How it is called in the form: a part of an object stands below it. */
  path?: string
  element: Element
  /** What is stored already. */
  value?: unknown
}

/** One field of a form, by its type; of an object, its parts. */
export function SchemaField({ name, path = name, element, value }: Props) {
  const id = useId()
  const wrong = useWrong(path)
  const parts = partsOf(element)
  if (parts) {
    const values = valuesOf(value ?? element.default_value)
    return (
      <fieldset className="parts form">
        <legend>{labelOf(name, element)}</legend>
        {element.description && <small>{element.description}</small>}
        {sorted(parts).map(([part, one]) => (
          <SchemaField key={part} name={part} path={pathOf(path, part)} element={one} value={values[part]} />
        ))}
      </fieldset>
    )
  }
  const items = itemsOf(element)
  if (items) return <SchemaItems name={name} path={path} element={element} value={value} {...items} />
  const input = inputOf(element)
  const told = { 'aria-describedby': `${id}about${wrong ? ` ${id}wrong` : ''}`, 'aria-invalid': wrong ? true : undefined }
  const shared = { id, name: path, ...told, placeholder: element.placeholder ?? '' }
  const begin = written(element, value)
  if (input === 'check')
    return (
      <label className="line" title={element.description ?? ''}>
        <input type="checkbox" name={path} defaultChecked={begin === 'true'} />
        {labelOf(name, element)}
        <span className="soft">{element.description}</span>
      </label>
    )
  return (
    <div className="field">
      <label htmlFor={id}>{labelOf(name, element)}</label>
      {input === 'choice' ? (
        <select id={id} name={path} {...told} defaultValue={begin}>
          <option value="">–</option>
          {choicesOf(element).map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      ) : input === 'lines' || input === 'json' ? (
        <textarea {...shared} className="mono" rows={4} spellCheck={false} defaultValue={begin} />
      ) : (
        <input
          {...shared}
          step={input === 'number' ? 'any' : 1}
          type={{ number: 'number', secret: 'password', time: 'datetime-local', text: 'text' }[input]}
          autoComplete={input === 'secret' ? 'new-password' : 'off'}
          defaultValue={begin}
        />
      )}
      <small id={`${id}about`}>
        {element.description}
        {element.is_list && input === 'lines' && ' One a line.'}
        {element.data_type === 'duration' && ' In milliseconds.'}
        {input === 'json' && ' As JSON.'}
        {input === 'secret' && value !== undefined && ' One is stored; it stays unless you write another.'}
      </small>
      <WrongText id={`${id}wrong`} text={wrong} />
    </div>
  )
}
