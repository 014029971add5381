import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call, reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Preview, Task } from '../api/types.ts'
import { FirstSensor } from '../enrol/FirstSensor.tsx'
import { Empty } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { Reading } from '../look/Reading.tsx'
import { counted } from '../look/words.ts'
import { openOf } from '../tasks/counts.ts'
import { TaskTable } from '../tasks/TaskTable.tsx'
import { Detected } from './Detected.tsx'
import { OwedTo } from './OwedTo.tsx'

/** Numbers are asked for this often while they are shown. */
const AGAIN_MS = 5_000
/** Tasks looked at; the newest. */
const TASKS_MAX = 500
const TASKS_SHOWN = 8

/** What waits, what failed, and who is offline that is owed something. */
export function Overview() {
  const { oid, org, name, may } = useOrganization()
  const isAllowed = oid !== '' && may('ext.request')
  const fleet = useQuery({
    queryKey: ['fleet', oid],
    queryFn: ({ signal }) => reliableTasking<Preview>(oid, 'preview', { selector: '*', limit: 1 }, signal),
    enabled: isAllowed,
    refetchInterval: AGAIN_MS,
  })
  const online = useQuery({
    queryKey: ['online', oid],
    queryFn: ({ signal }) => call<{ count: number }>('GET', `/v1/online/${oid}`, {}, signal),
    enabled: oid !== '' && !isAllowed && may('sensor.list'),
    refetchInterval: AGAIN_MS,
  })
  const tasks = useQuery({
    queryKey: ['tasks', oid],
    queryFn: ({ signal }) => reliableTasking<{ requests: Task[] }>(oid, 'overview', { limit: TASKS_MAX }, signal),
    enabled: isAllowed,
    refetchInterval: AGAIN_MS,
  })
  const all = tasks.data?.requests ?? []
  const waiting = all.filter((task) => openOf(task) > 0)
  const failed = all.filter((task) => task.failures > 0)
  const total = fleet.data?.total_sensors ?? 0
  const isNew = fleet.data && total === 0
  return (
    <>
      <Head title="Overview" within={name}>
        <span className="grow" />
        {isAllowed && total > 0 && (
          <Link className="button prime" to="/$org/reliable-tasking/new" params={{ org }}>
            Run a command…
          </Link>
        )}
      </Head>
      <div className="page">
        <div className="tiles">
          {fleet.data && (
            <>
              <Link className="tile" to="/$org/sensors" params={{ org }} search={{ state: 'online' }}>
                <span className="big">{fleet.data.online_sensors.toLocaleString('en')}</span> of {counted(total, 'sensor')} online
              </Link>
              <Link className="tile" to="/$org/reliable-tasking" params={{ org }} search={{ open: true }}>
                <span className="big">{waiting.reduce((sum, task) => sum + openOf(task), 0).toLocaleString('en')}</span> targets wait, in{' '}
                {counted(waiting.length, 'task')}
              </Link>
              <Link className="tile" to="/$org/reliable-tasking" params={{ org }}>
                <span className={`big ${failed.length ? 'bad' : ''}`}>
                  {failed.reduce((sum, task) => sum + task.failures, 0).toLocaleString('en')}
                </span>{' '}
                targets failed, in {counted(failed.length, 'task')}
              </Link>
            </>
          )}
          {online.data && (
            <Link className="tile" to="/$org/sensors" params={{ org }} search={{ state: 'online' }}>
              <span className="big">{online.data.count.toLocaleString('en')}</span> sensors online
            </Link>
          )}
        </div>
        <Reading of={tasks} what="Tasks" />
        <Reading of={fleet} what="Sensors" />
        {isNew && <FirstSensor title="Begin with a sensor." />}
        {isAllowed && total > 0 && tasks.data && !all.length && (
          <Empty title="Nothing was run yet.">
            <p>A command can be run on any machine that has a sensor. For one that is off it is kept, and runs when the machine is back.</p>
          </Empty>
        )}
        {isAllowed && total > 0 && <OwedTo />}
        {may('insight.det.get') && <Detected />}
        {waiting.length > 0 && (
          <section className="panel">
            <h2>What waits</h2>
            <TaskTable tasks={waiting.slice(0, TASKS_SHOWN)} org={org} label="Tasks that wait" />
          </section>
        )}
        {failed.length > 0 && (
          <section className="panel">
            <h2>What failed</h2>
            <TaskTable tasks={failed.slice(0, TASKS_SHOWN)} org={org} label="Tasks with failures" />
          </section>
        )}
      </div>
    </>
  )
}
