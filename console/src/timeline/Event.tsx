import type { Row } from '../api/types.ts'
import { Copy } from '../look/Copy.tsx'
import { Time } from '../look/Time.tsx'

/** One event: a line, and everything when it is opened. */
export function Event({ row }: { row: Row }) {
  const text = JSON.stringify(row.event)
  return (
    <details className="event">
      <summary>
        <Time ms={row.routing?.event_time} /> <strong>{row.routing?.event_type}</strong>{' '}
        <span className="soft mono">{text?.slice(0, 160)}</span>
      </summary>
      <pre className="code" tabIndex={0}>
        {JSON.stringify(row, null, 2)}
      </pre>
      <Copy text={() => JSON.stringify(row, null, 2)}>Copy JSON</Copy>
    </details>
  )
}
