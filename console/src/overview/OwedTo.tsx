import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call, reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { SensorPage } from '../api/types.ts'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { ofServer } from '../look/time.ts'
import { counted } from '../look/words.ts'
import { ofSids } from '../selector/ofSids.ts'

/** Sensors named; the tasks name all. */
const NAMED_MAX = 20
/** Sensors looked at: a longer selector does not fit into an address. */
const ASKED_MAX = 100
const AGAIN_MS = 10_000

interface Pending {
  tasks: Record<string, Record<string, { task: string }>>
}

/** Machines that are off and have something to run when they are back. */
export function OwedTo() {
  const { oid, org } = useOrganization()
  const owed = useQuery({
    queryKey: ['owed-to', oid],
    queryFn: async ({ signal }) => {
      const { tasks } = await reliableTasking<Pending>(oid, 'list', { selector: '*' }, signal)
      const sids = Object.keys(tasks).slice(0, ASKED_MAX)
      if (!sids.length) return []
      const selector = ofSids(sids)
      const { sensors } = await call<SensorPage>('GET', `/v1/sensors/${oid}`, { selector }, signal)
      return sensors
        .filter((sensor) => !sensor.is_online && tasks[sensor.sid])
        .map((sensor) => ({ sensor, commands: Object.values(tasks[sensor.sid] ?? {}).map((task) => task.task) }))
    },
    refetchInterval: AGAIN_MS,
  })
  if (owed.error) return <Reading of={owed} what="What is owed" />
  if (!owed.data?.length) return null
  const more = owed.data.length - NAMED_MAX
  return (
    <section className="panel">
      <h2>Offline, and owed something</h2>
      <div className="scroll" tabIndex={0} role="region" aria-label="Offline, and owed something">
        <table>
          <thead>
            <tr>
              <th>Host</th>
              <th>Will run</th>
              <th className="wide">Last seen</th>
            </tr>
          </thead>
          <tbody>
            {owed.data.slice(0, NAMED_MAX).map(({ sensor, commands }) => (
              <tr key={sensor.sid}>
                <td>
                  <Link to="/$org/sensors/$sid" params={{ org, sid: sensor.sid }}>
                    {sensor.hostname || sensor.sid}
                  </Link>
                </td>
                <td className="mono">
                  {commands[0]}
                  {commands.length > 1 && <span className="soft"> and {counted(commands.length - 1, 'other')}</span>}
                </td>
                <td className="wide">
                  <Time ms={ofServer(sensor.alive)} ago />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more > 0 && <p className="soft">and {counted(more, 'other machine')}</p>}
    </section>
  )
}
