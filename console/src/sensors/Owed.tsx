import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Task } from '../api/types.ts'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'

/** Tasks are asked for this often while they are shown: they end by themselves. */
const AGAIN_MS = 5_000

/** What the sensor is still to run. */
export function Owed({ sid }: { sid: string }) {
  const { oid, org, may } = useOrganization()
  const isAllowed = may('ext.request')
  const owed = useQuery({
    queryKey: ['owed', oid, sid],
    queryFn: ({ signal }) => reliableTasking<{ requests: Task[] }>(oid, 'list', { sid }, signal),
    enabled: oid !== '' && isAllowed,
    refetchInterval: AGAIN_MS,
  })
  if (!isAllowed) return null
  return (
    <section className="panel">
      <h2>What it is owed</h2>
      <Reading of={owed} what="Its tasks" />
      {owed.data && !owed.data.requests.length && <p className="soft">Nothing waits for it.</p>}
      {owed.data && owed.data.requests.length > 0 && (
        <ul>
          {owed.data.requests.map((task) => (
            <li key={task.task_id}>
              <Link className="mono" to="/$org/reliable-tasking/$task" params={{ org, task: task.task_id }} search={{ sid }}>
                {task.task}
              </Link>{' '}
              until <Time ms={task.expiry * 1000} />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
