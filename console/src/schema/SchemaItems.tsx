import { useId, useState } from 'react'
import { type Element, entriesOf, itemsPath, keyPath, labelOf, type ObjectSchema, pathOf, sorted, valuesOf } from './form.ts'
import { useWrong, WrongText } from './Mistakes.tsx'
import { SchemaField } from './SchemaField.tsx'

interface Props {
  name: string
  path: string
  element: Element
  parts: ObjectSchema
  /** Each has a key, as in a record. */
  isKeyed: boolean
  value: unknown
}

/** A list of objects, or a record: as many as are wanted, each asked for part by part. */
export function SchemaItems({ name, path, element, parts, isKeyed, value }: Props) {
  const kept = entriesOf(value ?? element.default_value)
  // An item is known by the place that it had at first; new ones have places after those.
  const [places, setPlaces] = useState(() => kept.map((_, place) => place))
  const [next, setNext] = useState(kept.length)
  const id = useId()
  const wrong = useWrong(path)
  const label = labelOf(name, element)
  const key = parts.key?.label || parts.key?.name || 'Key'
  return (
    <fieldset className="parts form" aria-describedby={wrong ? `${id}wrong` : undefined}>
      <legend>{label}</legend>
      {element.description && <small>{element.description}</small>}
      <input type="hidden" name={itemsPath(path)} value={places.join()} />
      {places.map((place, at) => {
        const item = pathOf(path, String(place))
        const [called, stored] = kept[place] ?? ['', undefined]
        return (
          <fieldset key={place} className="parts form">
            <legend>
              {label} {at + 1}
            </legend>
            {isKeyed && (
              <div className="field">
                <label htmlFor={`${id}${place}`}>{key}</label>
                <input
                  id={`${id}${place}`}
                  name={keyPath(item)}
                  defaultValue={called}
                  placeholder={parts.key?.placeholder ?? ''}
                  autoComplete="off"
                />
                {parts.key?.description && <small>{parts.key.description}</small>}
              </div>
            )}
            {sorted(parts).map(([part, one]) => (
              <SchemaField key={part} name={part} path={pathOf(item, part)} element={one} value={valuesOf(stored)[part]} />
            ))}
            <div>
              <button
                type="button"
                aria-label={`Remove ${label} ${at + 1}`}
                onClick={() => setPlaces(places.filter((one) => one !== place))}
              >
                Remove
              </button>
            </div>
          </fieldset>
        )
      })}
      <WrongText id={`${id}wrong`} text={wrong} />
      <div>
        <button
          type="button"
          aria-label={`Add to ${label}`}
          onClick={() => {
            setPlaces([...places, next])
            setNext(next + 1)
          }}
        >
          Add
        </button>
      </div>
    </fieldset>
  )
}
