import type { Row } from '../api/types.ts'
import { Time } from '../look/Time.tsx'

/** Detections with when, what and where. */
export function DetectionTable({ rows, open }: { rows: Row[]; open: (row: Row) => void }) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Detections">
      <table>
        <thead>
          <tr>
            <th>Detection</th>
            <th>Host</th>
            <th className="wide number">Priority</th>
            <th className="wide">Time</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={String(row.detect_id)}>
              <td>
                <button type="button" className="plain link" onClick={() => open(row)}>
                  {String(row.cat)}
                </button>
              </td>
              <td>{row.routing?.hostname ?? ''}</td>
              <td className="wide number">{typeof row.priority === 'number' ? row.priority : ''}</td>
              <td className="wide">
                <Time ms={row.routing?.event_time} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
