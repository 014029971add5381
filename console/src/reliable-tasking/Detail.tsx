import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { STATES, type Target, type TargetPage, type Task } from '../api/types.ts'
import { type Column, Grid, type Shown } from '../grid/Grid.tsx'
import { useTopic } from '../live/useLive.ts'
import { Empty } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { isGone, Reading } from '../look/Reading.tsx'
import { State } from '../look/State.tsx'
import { Time } from '../look/Time.tsx'
import { spanOf } from '../look/time.ts'
import { counted } from '../look/words.ts'
import { goneOf, hasEnded } from '../tasks/counts.ts'
import { StateBar } from '../tasks/StateBar.tsx'
import { Acts } from './Acts.tsx'
import { conditionWords } from './conditions.ts'
import { TargetPanel } from './TargetPanel.tsx'

const COLUMNS: Column<Target>[] = [
  { name: 'Host', width: 'minmax(120px, 2fr)', sort: 'hostname', cell: (target) => target.hostname || target.sid },
  { name: 'State', width: 'minmax(110px, 1fr)', cell: (target) => <State of={target.state} /> },
  { name: 'Sensor', width: '96px', cell: (target) => <State of={target.online ? 'online' : 'offline'} />, isWide: true },
  { name: 'Exit code', width: '80px', cell: (target) => <span className="mono">{target.code ?? ''}</span>, isWide: true },
  { name: 'Tries', width: '56px', cell: (target) => target.attempts, isWide: true },
  { name: 'Ended', width: 'minmax(180px, 1fr)', cell: (target) => <Time ms={target.ended} />, isWide: true },
]

export function TaskDetail() {
  const { oid, org, may } = useOrganization()
  const { task: id } = useParams({ from: '/$org/reliable-tasking/$task' })
  const { state, sid, sort } = useSearch({ from: '/$org/reliable-tasking/$task' })
  const navigate = useNavigate()
  const task = useQuery({
    queryKey: ['task', oid, id],
    queryFn: ({ signal }) => reliableTasking<TargetPage>(oid, 'get', { task_id: id, limit: 1 }, signal),
    enabled: oid !== '',
  })
  const queries = useQueryClient()
  const [shown, setShown] = useState<{ rows: Target[]; window: Shown<Target> }>()
  useTopic('targets', oid ? { oid, task_id: id, sids: (shown?.rows ?? []).slice(0, 400).map((target) => target.sid) } : undefined, {
    rows: (rows) => {
      const changes = rows as (Partial<Target> & Partial<Task>)[]
      const summary = changes.findLast((row) => row.task_id)
      if (summary) queries.setQueryData<TargetPage>(['task', oid, id], (old) => old && { ...old, ...(summary as Task) })
      const targets = changes.filter((row) => row.sid)
      // Times and exit codes come by HTTP.
      const ended = targets.some((target) => shown?.rows.some((row) => row.sid === target.sid && row.state !== target.state))
      shown?.window.patch(targets, (target) => target.sid ?? '')
      if (ended) shown?.window.again()
    },
    gap: () => {
      void task.refetch()
      shown?.window.again()
    },
  })
  const search = (changed: { state?: string | undefined; sid?: string | undefined; sort?: string | undefined }) =>
    void navigate({ to: '/$org/reliable-tasking/$task', params: { org, task: id }, search: { state, sid, sort, ...changed } })
  if (!task.data || isGone(task))
    return (
      <>
        <Head title="Task" within="Reliable Tasking" />
        <div className="page">
          <Reading of={task} what="The task" gone="There is no such task." />
        </div>
      </>
    )
  const gone = goneOf(task.data)
  const counts = STATES.filter((name) => task.data.counts[name])
  return (
    <>
      <Head title={task.data.task} within="Reliable Tasking">
        <span className="grow" />
        <Acts task={task.data} mayAct={may('ext.request')} changed={() => void task.refetch()} filter={state} />
      </Head>
      <div className="head">
        <div className="grow panel">
          <p>
            on <code>{task.data.sensor_selector || '*'}</code> · by {task.data.created_by} · <Time ms={task.data.created * 1000} /> ·{' '}
            {hasEnded(task.data) ? (
              <strong>{gone ? `over: taken back for ${counted(gone, 'sensor')}` : 'over'}</strong>
            ) : (
              <>
                until <Time ms={task.data.expiry * 1000} /> ({spanOf(task.data.ttl)})
              </>
            )}
            {task.data.paused && <strong className="warn"> · paused</strong>}
            {task.data.stopped && <strong className="bad"> · stopped by its failures</strong>}
            {task.data.dynamic && ' · also on sensors that match later'}
            {task.data.conditions && ` · only ${conditionWords(task.data.conditions)}`}
          </p>
          <StateBar task={task.data} />
          <fieldset className="counts" aria-label="Targets by state">
            <button type="button" aria-pressed={!state} onClick={() => search({ state: undefined })}>
              all {task.data.total.toLocaleString('en')}
            </button>
            {counts.map((name) => (
              <button key={name} type="button" aria-pressed={state === name} onClick={() => search({ state: name })}>
                <State of={name} /> {task.data.counts[name].toLocaleString('en')}
              </button>
            ))}
          </fieldset>
          <small className="soft">A row tells why that sensor has run it or not yet, and what it answered.</small>
        </div>
      </div>
      <Grid<Target>
        label="Targets"
        of={`${oid} ${id} ${state ?? ''} ${sort ?? ''}`}
        fetch={async (offset, limit, signal) => {
          const page = await reliableTasking<TargetPage>(
            oid,
            'get',
            { task_id: id, offset, limit, ...(sort ? { sort } : {}), ...(state ? { state } : {}) },
            signal,
          )
          return { rows: page.targets, total: page.matching }
        }}
        keyOf={(target) => target.sid ?? ''}
        columns={COLUMNS}
        sort={{ by: sort ?? '', choose: (by) => search({ sort: by || undefined }) }}
        onOpen={(target) => search({ sid: target.sid ?? undefined })}
        onShown={(rows, window) => setShown({ rows, window })}
        empty={
          state ? (
            <Empty title={`No target is ${state.replace('_', ' ')}.`}>
              <button type="button" onClick={() => search({ state: undefined })}>
                Show all
              </button>
            </Empty>
          ) : (
            <Empty title="No sensor matched when the task was made." />
          )
        }
      />
      {sid && <TargetPanel task={task.data} sid={sid} onClose={() => search({ sid: undefined })} />}
    </>
  )
}
