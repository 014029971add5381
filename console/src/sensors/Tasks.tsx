import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Task } from '../api/types.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { State } from '../look/State.tsx'
import { Time } from '../look/Time.tsx'

const SHOWN_MAX = 500
/** Where a task stands changes by itself. */
const AGAIN_MS = 3_000
const HEADS = [{ name: 'Command' }, { name: 'Here it is' }, { name: 'By', isWide: true }, { name: 'Created', isWide: true }]

/** The reliable tasks that have a sensor among their targets, and where it stands in each. */
export function Tasks({ sid }: { sid: string }) {
  const { oid, org, may } = useOrganization()
  const isAllowed = oid !== '' && may('ext.request')
  const read = useQuery({
    queryKey: ['tasks-of', oid, sid],
    queryFn: ({ signal }) => reliableTasking<{ requests: Task[] }>(oid, 'overview', { sid, limit: SHOWN_MAX }, signal),
    enabled: isAllowed,
    refetchInterval: AGAIN_MS,
  })
  const all = read.data?.requests ?? []
  return (
    <div className="page">
      {!may('ext.request') && <Forbidden permission="ext.request" />}
      <Reading of={read} what="Its tasks" />
      {read.data && !all.length && (
        <Empty title="No task had this sensor among its targets.">
          <p>A task that is made now waits for it, if it is off.</p>
        </Empty>
      )}
      {all.length > 0 && (
        <ListTable
          label="Tasks of the sensor"
          heads={HEADS}
          rows={all.map((task) => ({
            key: task.task_id,
            cells: [
              <Link key="task" className="mono" to="/$org/reliable-tasking/$task" params={{ org, task: task.task_id }} search={{ sid }}>
                {task.task}
              </Link>,
              task.state && <State key="state" of={task.state} />,
              task.created_by,
              <Time key="created" ms={task.created * 1000} ago />,
            ],
          }))}
        />
      )}
    </div>
  )
}
