import type { Row } from '../api/types.ts'
import { visible } from '../look/visible.ts'

/** What programs wrote: worth reading as text. */
const TEXTS = ['STDOUT', 'STDERR'] as const

/** One answer of a sensor: what a program wrote as text, the rest as it is. */
export function Answer({ row }: { row: Row }) {
  const event = (row.event && typeof row.event === 'object' ? row.event : { value: row.event }) as Record<string, unknown>
  const texts = TEXTS.filter((name) => typeof event[name] === 'string' && event[name] !== '')
  const rest = Object.fromEntries(Object.entries(event).filter(([name]) => !TEXTS.some((text) => text === name)))
  return (
    <div className="field">
      {texts.map((name) => (
        <div key={name} className="field">
          <span className="label">{name === 'STDOUT' ? 'Output' : 'Errors'}</span>
          <pre className="code" tabIndex={0}>
            {visible(String(event[name]))}
          </pre>
        </div>
      ))}
      <details open={!texts.length}>
        <summary>{row.routing?.event_type}</summary>
        <pre className="code" tabIndex={0}>
          {JSON.stringify(rest, null, 2)}
        </pre>
      </details>
    </div>
  )
}
