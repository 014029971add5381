import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Task } from '../api/types.ts'
import { useTopic } from '../live/useLive.ts'
import { Empty } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { Reading } from '../look/Reading.tsx'
import { TextFilter } from '../look/TextFilter.tsx'
import { counted } from '../look/words.ts'
import { hasEnded } from '../tasks/counts.ts'
import { TaskTable } from '../tasks/TaskTable.tsx'

/** Tasks read at once; the newest are what one looks for. */
const SHOWN_MAX = 500
/** Tasks that are kept live: those on the screen and some more. */
const LIVE_MAX = 200

export function ReliableTasking() {
  const { org, oid, may } = useOrganization()
  const { find = '', open: isOpenOnly = false } = useSearch({ from: '/$org/reliable-tasking' })
  const navigate = useNavigate()
  const filter = (changed: { find?: string | undefined; open?: boolean | undefined }, replace = true) =>
    void navigate({
      to: '/$org/reliable-tasking',
      params: { org },
      search: { find: find || undefined, open: isOpenOnly || undefined, ...changed },
      replace,
    })
  const tasks = useQuery({
    queryKey: ['tasks', oid],
    queryFn: ({ signal }) => reliableTasking<{ requests: Task[] }>(oid, 'overview', { limit: SHOWN_MAX }, signal),
    enabled: oid !== '',
  })
  const [news, setNews] = useState<Map<string, Task>>(new Map())
  const all = (tasks.data?.requests ?? []).map((task) => news.get(task.task_id) ?? task)
  useTopic('tasks', all.length ? { oid, task_ids: all.slice(0, LIVE_MAX).map((task) => task.task_id) } : undefined, {
    rows: (rows) => setNews((old) => new Map([...old, ...(rows as Task[]).map((task): [string, Task] => [task.task_id, task])])),
    gap: () => void tasks.refetch(),
  })
  const needle = find.toLowerCase()
  const shown = all.filter(
    (task) =>
      (!isOpenOnly || !hasEnded(task)) &&
      `${task.task} ${task.sensor_selector} ${task.created_by} ${task.task_id}`.toLowerCase().includes(needle),
  )
  return (
    <>
      <Head title="Reliable Tasking">
        <TextFilter label="Filter by command, selector, who or id" text={find} change={(text) => filter({ find: text || undefined })} />
        <select
          aria-label="Which tasks"
          value={isOpenOnly ? 'open' : 'all'}
          onChange={(event) => filter({ open: event.target.value === 'open' || undefined }, false)}
        >
          <option value="all">all tasks</option>
          <option value="open">with open targets</option>
        </select>
        <span role="status" className="soft">
          {tasks.data ? `${counted(shown.length, 'task')}${all.length === SHOWN_MAX ? ' (the newest)' : ''}` : ''}
        </span>
        {may('ext.request') && (
          <Link className="button prime" to="/$org/reliable-tasking/new" params={{ org }}>
            New task
          </Link>
        )}
      </Head>
      <div className="page">
        <Reading of={tasks} what="Tasks" />
        {tasks.data && !all.length && (
          <Empty title="No tasks yet.">
            <p>
              A reliable task is a command that is kept for every sensor it is for, until that sensor can run it: also for machines that are
              off now.
            </p>
            <Link className="button prime" to="/$org/reliable-tasking/new" params={{ org }}>
              Run a command on sensors
            </Link>
            <code>muster reliable-task create os_version --selector 'plat == linux'</code>
          </Empty>
        )}
        {all.length > 0 && !shown.length && (
          <Empty title="No task matches the filter.">
            <button type="button" onClick={() => filter({ find: undefined, open: undefined }, false)}>
              Clear
            </button>
          </Empty>
        )}
        {shown.length > 0 && <TaskTable tasks={shown} org={org} label="Tasks" />}
      </div>
    </>
  )
}
