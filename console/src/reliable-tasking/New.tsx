import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useDeferredValue, useId, useState } from 'react'
import { type Failure as Refusal, reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Preview } from '../api/types.ts'
import { Copy } from '../look/Copy.tsx'
import { Failure } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { complain, notify } from '../look/notices.tsx'
import { State } from '../look/State.tsx'
import { localTime } from '../look/time.ts'
import { useSettled } from '../look/useSettled.ts'
import { counted } from '../look/words.ts'
import { HowWritten } from '../selector/HowWritten.tsx'
import { ChooseSaved } from '../selector/SavedSelectors.tsx'
import { SelectorField } from '../selector/SelectorField.tsx'
import { CommandField } from './CommandField.tsx'
import { conditionsOf } from './conditions.ts'
import { asCommandLine, asCurl, fieldsOf, type Order, sentence } from './order.ts'
import { useCommand } from './useCommand.ts'
import { type Times, When } from './When.tsx'

const SPANS: [string, number][] = [
  ['1 hour', 3_600],
  ['1 day', 86_400],
  ['1 week', 604_800],
  ['30 days', 2_592_000],
]
const WEEK_S = 604_800
/** A selector that is being typed is tried after this time. */
const TRY_AFTER_MS = 150

export function NewTask() {
  const { org, oid, may } = useOrganization()
  const navigate = useNavigate()
  const given = useSearch({ from: '/$org/reliable-tasking/new' })
  const [command, setCommand] = useState(given.task ?? '')
  const [selector, setSelector] = useState(given.selector ?? '')
  const [ttl, setTtl] = useState(WEEK_S)
  const [context, setContext] = useState('')
  const [perSecond, setPerSecond] = useState('')
  const [dynamic, setDynamic] = useState(false)
  const [urgent, setUrgent] = useState(false)
  const [times, setTimes] = useState<Times>({ from: '', to: '', days: [] })
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>()
  // Made before the first try, so that a second try is not a second task.
  const [taskId] = useState(() => crypto.randomUUID())
  const judged = useCommand(command)
  const tried = useSettled(selector, TRY_AFTER_MS)
  const preview = useQuery({
    queryKey: ['preview', oid, tried],
    queryFn: ({ signal }) => reliableTasking<Preview>(oid, 'preview', { selector: tried.trim() || '*', limit: 10 }, signal),
    enabled: oid !== '',
    retry: false,
    placeholderData: (before) => before,
  })
  const mistake = preview.error && tried === selector ? (preview.error as Refusal).message : undefined
  const found = mistake ? undefined : preview.data
  const order: Order = {
    task: command.trim(),
    selector: selector.trim() || '*',
    ttl,
    context: context.trim() || undefined,
    dynamic,
    urgent,
    perSecond: Number(perSecond) || undefined,
    conditions: conditionsOf(times.from, times.to, times.days),
  }
  const words = useDeferredValue(order)
  const create = async () => {
    setBusy(true)
    setFailure(undefined)
    try {
      const made = await reliableTasking<{ task_id: string; total_sensors: number }>(oid, 'task', fieldsOf({ ...order, task_id: taskId }))
      notify(`The task is kept for ${counted(made.total_sensors, 'sensor')}.`)
      await navigate({ to: '/$org/reliable-tasking/$task', params: { org, task: made.task_id } })
    } catch (error) {
      setFailure(error)
      complain('The task was not made', error)
    } finally {
      setBusy(false)
    }
  }
  const id = useId()
  return (
    <>
      <Head title="New task" within="Reliable Tasking" />
      <div className="page">
        <form
          className="form"
          onSubmit={(event) => {
            event.preventDefault()
            void create()
          }}
        >
          <CommandField value={command} judged={judged} change={setCommand} />
          <div className="field">
            <span className="label">On which sensors</span>
            <SelectorField label="On which sensors" value={selector} onChange={setSelector} mistake={mistake} />
            <div>
              <ChooseSaved selector={selector} choose={setSelector} />
            </div>
            <small>
              Sensors that are offline are included: each runs it when it is back. One by one, or only those that are offline now, they are
              chosen in the list of{' '}
              <Link
                to="/$org/sensors"
                params={{ org }}
                search={{ selector: selector.trim() || undefined, task: command.trim() || undefined }}
              >
                Sensors
              </Link>
              .
            </small>
            <HowWritten />
          </div>
          <Matches preview={found} />
          <div className="columns">
            <div className="field">
              <label htmlFor={`${id}ttl`}>Keep it for</label>
              <select id={`${id}ttl`} value={ttl} onChange={(event) => setTtl(Number(event.target.value))}>
                {SPANS.map(([name, seconds]) => (
                  <option key={seconds} value={seconds}>
                    {name}
                  </option>
                ))}
              </select>
              <small>A sensor that is not back by then does not run it.</small>
            </div>
            <div className="field">
              <label htmlFor={`${id}pace`}>At most, sensors a second</label>
              <input
                id={`${id}pace`}
                type="number"
                min={1}
                placeholder="no limit"
                value={perSecond}
                onChange={(event) => setPerSecond(event.target.value)}
              />
            </div>
            <div className="field">
              <label htmlFor={`${id}context`}>Name for its answers</label>
              <input id={`${id}context`} value={context} placeholder="none" onChange={(event) => setContext(event.target.value)} />
              <small>Events that answer carry it as investigation id.</small>
            </div>
          </div>
          <label className="line">
            <input type="checkbox" checked={dynamic} onChange={(event) => setDynamic(event.target.checked)} />
            Also on sensors that match later
          </label>
          <label className="line">
            <input type="checkbox" checked={urgent} onChange={(event) => setUrgent(event.target.checked)} />
            Before all other tasks that wait
          </label>
          <When times={times} change={setTimes} />
          {failure !== undefined && <Failure what="The task was not made" error={failure} />}
          {found && command.trim() && !judged.mistake && (
            <p className="note">{sentence(order, found.total_sensors, found.online_sensors, localTime(Date.now() + ttl * 1000))}</p>
          )}
          <div className="actions">
            <Copy text={() => asCommandLine(words)}>Copy as CLI</Copy>
            <Copy text={() => asCurl(words, location.origin, oid)}>Copy as curl</Copy>
            <button
              className="prime"
              type="submit"
              disabled={
                busy ||
                !command.trim() ||
                judged.mistake !== undefined ||
                !found ||
                found.total_sensors + Number(dynamic) === 0 ||
                !may('ext.request')
              }
            >
              Run it
            </button>
          </div>
        </form>
      </div>
    </>
  )
}

function Matches({ preview }: { preview: Preview | undefined }) {
  if (!preview) return null
  const more = preview.total_sensors - preview.sensors.length
  return (
    <div className="field">
      <p role="status">
        <strong>{counted(preview.total_sensors, 'sensor')}</strong> {preview.total_sensors === 1 ? 'matches' : 'match'},{' '}
        {preview.online_sensors.toLocaleString('en')} of them online.
      </p>
      <div className="line">
        {preview.sensors.map((sensor) => (
          <span key={sensor.sid} className="tag">
            {sensor.hostname || sensor.sid} <State of={sensor.online ? 'online' : 'offline'} />
          </span>
        ))}
        {more > 0 && <span className="soft">and {more.toLocaleString('en')} more</span>}
      </div>
    </div>
  )
}
