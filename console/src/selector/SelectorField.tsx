import { useQuery } from '@tanstack/react-query'
import { useId, useRef, useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { HowWritten } from './HowWritten.tsx'
import { completed, placeOf, suggestions } from './place.ts'

interface Props {
  label: string
  value: string
  onChange: (text: string) => void
  onEnter?: (text: string) => void
  /** The server's sentence about a mistake. */
  mistake?: string | undefined
  isFilter?: boolean
}

/** A sensor selector: completion of the last word, and the place of a mistake. */
export function SelectorField({ label, value, onChange, onEnter, mistake, isFilter }: Props) {
  const { oid, may } = useOrganization()
  const field = useRef<HTMLInputElement>(null)
  const [isOpen, setOpen] = useState(false)
  const [at, setAt] = useState(-1)
  const id = useId()
  const tags = useQuery({
    queryKey: ['tags', oid],
    queryFn: ({ signal }) => call<{ tags: string[] }>('GET', `/v1/tags/${oid}`, {}, signal),
    enabled: isOpen && may('sensor.list'),
    staleTime: 60_000,
  })
  const found = isOpen ? suggestions(value, Array.isArray(tags.data?.tags) ? tags.data.tags : []) : []
  const place = mistake ? placeOf(value, mistake) : undefined
  const choose = (word: string) => {
    onChange(completed(value, word))
    setOpen(false)
    setAt(-1)
    field.current?.focus()
  }
  return (
    <div className="field grow">
      <input
        ref={field}
        className="mono"
        role="combobox"
        aria-label={label}
        aria-expanded={found.length > 0}
        aria-controls={`${id}list`}
        aria-autocomplete="list"
        aria-activedescendant={found[at] ? `${id}${at}` : undefined}
        aria-invalid={Boolean(mistake)}
        aria-describedby={mistake ? `${id}mistake` : undefined}
        data-filter={isFilter ? '' : undefined}
        placeholder={'every sensor; or: plat == linux and "prod" in tags'}
        autoComplete="off"
        spellCheck={false}
        value={value}
        onChange={(event) => {
          onChange(event.target.value)
          setOpen(true)
          setAt(-1)
        }}
        onBlur={() => setOpen(false)}
        onKeyDown={(event) => {
          const chosen = found[at]
          if (event.key === 'ArrowDown' && found.length) setAt((at + 1) % found.length)
          else if (event.key === 'ArrowUp' && found.length) setAt((at + found.length - 1) % found.length)
          else if (event.key === 'Escape' && isOpen) setOpen(false)
          else if (event.key === 'Enter' && chosen) choose(chosen)
          else if (event.key === 'Enter' && onEnter) onEnter(value)
          else return
          event.preventDefault()
        }}
      />
      <ul
        className="list suggestions"
        id={`${id}list`}
        role="listbox"
        aria-label="What could be written next"
        tabIndex={-1}
        hidden={!found.length}
      >
        {found.map((word, index) => (
          // Keys are handled by the field, which keeps the focus.
          // biome-ignore lint/a11y/useKeyWithClickEvents: see above
          <li
            key={word}
            id={`${id}${index}`}
            role="option"
            aria-selected={index === at}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(word)}
          >
            {word}
          </li>
        ))}
      </ul>
      {mistake && (
        <div id={`${id}mistake`} role="alert">
          {place !== undefined && (
            <pre className="where" aria-hidden="true">
              {value}
              {'\n'}
              {' '.repeat(place)}^
            </pre>
          )}
          <small className="bad">{mistake}</small>
        </div>
      )}
      {mistake && isFilter && <HowWritten />}
    </div>
  )
}
