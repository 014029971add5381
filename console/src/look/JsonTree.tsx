import { useState } from 'react'
import { visible } from './visible.ts'

/** Parts of one value that are drawn at a time. */
const DRAWN_MAX = 200

/** What a value is made of, by name; nothing for one that has no parts. */
function partsOf(value: unknown): [string, unknown][] | undefined {
  return typeof value === 'object' && value !== null ? Object.entries(value) : undefined
}

interface Props {
  value: unknown
  /** Parts that are unfolded from the beginning. */
  unfolded?: readonly string[]
}

/** A value as JSON that is unfolded where one looks: what is folded is not drawn. */
export function JsonTree({ value, unfolded = [] }: Props) {
  const [drawn, setDrawn] = useState(DRAWN_MAX)
  const parts = partsOf(value) ?? []
  return (
    <ul className="json">
      {parts.slice(0, drawn).map(([name, part]) => (
        <Part key={name} name={name} value={part} isUnfolded={unfolded.includes(name)} />
      ))}
      {parts.length > drawn && (
        <li>
          <button type="button" className="plain link" onClick={() => setDrawn(drawn + DRAWN_MAX)}>
            {(parts.length - drawn).toLocaleString('en')} more
          </button>
        </li>
      )}
    </ul>
  )
}

function Part({ name, value, isUnfolded }: { name: string; value: unknown; isUnfolded: boolean }) {
  const [isOpen, setOpen] = useState(isUnfolded)
  const parts = partsOf(value)
  if (!parts?.length)
    return (
      <li>
        <span className="soft">{visible(name)}:</span> {parts ? (Array.isArray(value) ? '[]' : '{}') : visible(JSON.stringify(value))}
      </li>
    )
  return (
    <li>
      <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <span className="soft">{visible(name)}</span> {isOpen ? '' : summaryOf(value, parts.length)}
        </summary>
        {isOpen && <JsonTree value={value} />}
      </details>
    </li>
  )
}

const summaryOf = (value: unknown, count: number) => (Array.isArray(value) ? `[ ${count} ]` : `{ ${count} }`)
