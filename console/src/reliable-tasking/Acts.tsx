import { useMutation } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Target, TargetPage } from '../api/types.ts'
import { Confirm } from '../look/Dialog.tsx'
import { complain, notify } from '../look/notices.tsx'
import { saveFile } from '../look/saveFile.ts'
import { counted } from '../look/words.ts'
import { openOf } from '../tasks/counts.ts'
import { asCsv } from './order.ts'

/** Targets in an export; more are exported by the command line. */
const EXPORT_MAX = 100_000
const EXPORT_PAGE = 1_000

async function everyTarget(oid: string, id: string, state: string | undefined) {
  const targets: Target[] = []
  let cursor: string | undefined
  do {
    const asked = { task_id: id, limit: EXPORT_PAGE, ...(state ? { state } : {}), ...(cursor ? { cursor } : {}) }
    const page: TargetPage = await reliableTasking(oid, 'get', asked)
    targets.push(...page.targets)
    cursor = page.cursor
  } while (cursor && targets.length < EXPORT_MAX)
  return targets
}

/** What can be done with a task. */
export function Acts({
  task,
  mayAct,
  changed,
  filter,
}: {
  task: TargetPage
  mayAct: boolean
  changed: () => void
  filter: string | undefined
}) {
  const { oid, org } = useOrganization()
  const [isAsking, setAsking] = useState(false)
  const [isWhole, setWhole] = useState(false)
  const act = useMutation({
    mutationFn: (action: 'pause' | 'resume' | 'untask' | 'cancel') =>
      reliableTasking<{ deleted?: number; stopping?: number }>(oid, action, { task_id: task.task_id }),
    onSuccess: (answer, action) => {
      setAsking(false)
      notify(
        action === 'pause'
          ? 'Paused: nothing more is sent.'
          : action === 'resume'
            ? 'It goes on.'
            : `Taken back for ${counted(answer.deleted ?? 0, 'sensor')}.${answer.stopping ? ` ${counted(answer.stopping, 'sensor')} will be told to stop it.` : ''}`,
      )
      changed()
    },
    onError: (error) => complain('That did not work', error),
  })
  const save = async (kind: 'csv' | 'json') => {
    const targets = await everyTarget(oid, task.task_id, filter)
    saveFile(`task-${task.task_id}.${kind}`, kind === 'csv' ? asCsv(targets) : JSON.stringify(targets, null, 2))
  }
  const open = openOf(task)
  const past = (task.counts.confirmed ?? 0) + (task.counts.started ?? 0)
  return (
    <>
      <button type="button" onClick={() => save('csv').catch((error) => complain('The export failed', error))}>
        CSV
      </button>
      <button type="button" onClick={() => save('json').catch((error) => complain('The export failed', error))}>
        JSON
      </button>
      <Link
        className="button"
        to="/$org/reliable-tasking/new"
        params={{ org }}
        search={{ task: task.task, selector: task.sensor_selector }}
      >
        Again…
      </Link>
      {mayAct && open > 0 && (
        <>
          <button type="button" disabled={act.isPending} onClick={() => act.mutate(task.paused || task.stopped ? 'resume' : 'pause')}>
            {task.paused || task.stopped ? 'Resume' : 'Pause'}
          </button>
          <button type="button" className="danger" onClick={() => setAsking(true)}>
            Stop it: untask…
          </button>
        </>
      )}
      {isAsking && (
        <Confirm
          title="Stop the task?"
          does="Untask"
          busy={act.isPending}
          onYes={() => act.mutate(isWhole ? 'cancel' : 'untask')}
          onClose={() => setAsking(false)}
        >
          <p>Will not be sent any more, and never runs: {counted(open - past, 'sensor')}.</p>
          {past > 0 && (
            <>
              <p className="warn">Past recall, since they have it already and may still run it: {counted(past, 'sensor')}.</p>
              <label className="line">
                <input type="checkbox" checked={isWhole} onChange={(event) => setWhole(event.target.checked)} />
                Stop it there, too: what has begun is ended where it stands
              </label>
            </>
          )}
          <p>What has ended stays as it is.</p>
        </Confirm>
      )}
    </>
  )
}
