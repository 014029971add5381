import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call, reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Explanation, Row, Target, Task } from '../api/types.ts'
import { Dialog } from '../look/Dialog.tsx'
import { FactList } from '../look/FactList.tsx'
import { Reading } from '../look/Reading.tsx'
import { State } from '../look/State.tsx'
import { Time } from '../look/Time.tsx'
import { Answer } from './Answer.tsx'

/** Answers that are shown; the timeline of the sensor has all. */
const ANSWERS_MAX = 20
/** Answers may come this long after the end. */
const AFTER_S = 120

/** Why one sensor has, had or does not have the task, and what it answered. */
export function TargetPanel({ task, sid, onClose }: { task: Task; sid: string; onClose: () => void }) {
  const { oid, org, may } = useOrganization()
  const explained = useQuery({
    queryKey: ['explain', oid, task.task_id, sid, JSON.stringify(task.counts)],
    queryFn: ({ signal }) =>
      reliableTasking<Explanation & { target: Target | null }>(oid, 'explain', { task_id: task.task_id, sid }, signal),
    placeholderData: (before) => before,
  })
  const target = explained.data?.target
  const answers = useQuery({
    queryKey: ['answers', oid, task.task_id, sid, target?.state, target?.ended],
    queryFn: ({ signal }) =>
      call<{ events: Row[] }>(
        'GET',
        `/v1/insight/${oid}/${sid}`,
        {
          start: Math.floor((target?.sent ?? task.created * 1000) / 1000) - 1,
          end: Math.ceil((target?.ended ?? Date.now()) / 1000) + AFTER_S,
          limit: 1_000,
        },
        signal,
      ),
    enabled: Boolean(target?.started || target?.ended) && may('insight.evt.get'),
    // The last answers may still be on their way.
    refetchInterval: (query) => (query.state.data && answersTo(task, query.state.data.events).length ? false : 2_000),
  })
  const found = answersTo(task, answers.data?.events ?? [])
  return (
    <Dialog title={target?.hostname || sid} onClose={onClose}>
      <Reading of={explained} what="The explanation" />
      {explained.data && (
        <p className="note">
          {target && <State of={target.state} />}
          <span>{explained.data.explanation}</span>
        </p>
      )}
      {target && <FactList facts={facts(target)} />}
      <Reading of={answers} what="Its answer" />
      {found.slice(0, ANSWERS_MAX).map((row, at) => (
        <Answer key={row.routing?.event_id ?? at} row={row} />
      ))}
      <div className="actions">
        <Link className="button" to="/$org/sensors/$sid" params={{ org, sid }}>
          The sensor
        </Link>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}

function facts(target: Target): [string, React.ReactNode][] {
  const times: [string, React.ReactNode][] = (['sent', 'confirmed', 'started', 'ended'] as const).map((name) => [
    name[0]?.toUpperCase() + name.slice(1),
    <Time key={name} ms={target[name]} />,
  ])
  if (target.code !== null) times.push(['Exit code', <code key="code">{target.code}</code>])
  if (target.error) times.push(['Error', target.error])
  return times
}

/** Events that answer a task: those of its investigation. */
function answersTo(task: Task, events: Row[]): Row[] {
  const wanted = task.context ?? `reliable-tasking/${task.task_id}`
  return events.filter((row) => {
    // The sensor's word that it heard of the task is no answer.
    if (row.routing?.event_type === 'CLOUD_NOTIFICATION') return false
    const id = String(row.routing?.investigation_id ?? '')
    return id === wanted || id.startsWith(`${wanted}/`)
  })
}
