import { useMutation } from '@tanstack/react-query'
import { useId, useState } from 'react'
import { post } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Replay } from '../api/types.ts'
import { readYaml } from '../editor/yaml.ts'
import { Failure } from '../look/Failure.tsx'
import { counted } from '../look/words.ts'

const SPANS: [string, number][] = [
  ['last hour', 3_600],
  ['last day', 86_400],
  ['last week', 604_800],
]
/** Events that one trial reads. */
const EVENTS_MAX = 100_000
/** Matches that are drawn. */
const SHOWN_MAX = 20

/** Tries a rule as it is written, without any effect: on events that were kept, or on one that one writes. */
export function Trial({ text }: { text: string }) {
  const { oid, may } = useOrganization()
  const [selector, setSelector] = useState('')
  const [span, setSpan] = useState(86_400)
  const [event, setEvent] = useState('')
  const id = useId()
  const trial = useMutation({
    mutationFn: (how: 'kept' | 'written') => {
      const end_time = Math.ceil(Date.now() / 1000) + 60
      const kept = { sensor_events: { selector: selector.trim() || undefined, start_time: end_time - span, end_time } }
      return post<Replay>(`/v1/replay/${oid}`, {
        rule_source: { rule: readYaml(text).value },
        event_source: how === 'kept' ? kept : { events: [JSON.parse(event)] },
        trace: how === 'written',
        limit_event: EVENTS_MAX,
      })
    },
  })
  return (
    <div className="form wide-form">
      <p>The rule is tried as it is written above. Nothing that it asks for is done.</p>
      {may('insight.evt.get') && (
        <div className="line">
          <label htmlFor={`${id}span`}>On events of the</label>
          <select id={`${id}span`} value={span} onChange={(event) => setSpan(Number(event.target.value))}>
            {SPANS.map(([name, seconds]) => (
              <option key={seconds} value={seconds}>
                {name}
              </option>
            ))}
          </select>
          <label htmlFor={`${id}selector`}>of sensors</label>
          <input
            id={`${id}selector`}
            className="mono"
            placeholder="* (every one), or a selector"
            value={selector}
            onChange={(event) => setSelector(event.target.value)}
          />
          <button type="button" disabled={trial.isPending} onClick={() => trial.mutate('kept')}>
            Try on kept events
          </button>
        </div>
      )}
      <div className="field">
        <label htmlFor={`${id}event`}>Or on an event of your own, as JSON</label>
        <textarea
          id={`${id}event`}
          className="mono"
          rows={5}
          spellCheck={false}
          placeholder={'{"routing": {"event_type": "NEW_PROCESS"}, "event": {"FILE_PATH": "/usr/bin/whoami"}}'}
          value={event}
          onChange={(change) => setEvent(change.target.value)}
        />
        <div>
          <button type="button" disabled={trial.isPending || !event.trim()} onClick={() => trial.mutate('written')}>
            Try on this event
          </button>
        </div>
      </div>
      {trial.error && <Failure what="The rule was not tried" error={trial.error} />}
      {trial.data && <Found replay={trial.data} />}
      {trial.data && !trial.data.did_match && trial.variables === 'kept' && (
        <small>
          Which kinds of events there are, the timelines of sensors tell: one that reports no processes makes no rule about them match.
        </small>
      )}
    </div>
  )
}

function Found({ replay }: { replay: Replay }) {
  const { stats, matches, results, traces } = replay
  const wasCut = replay.limit_event_reached || replay.limit_eval_reached || replay.limit_time_reached
  const parts: [string, unknown[]][] = [
    ['What it would do', results],
    ['Events that matched', matches],
    ['Step by step', traces],
  ]
  return (
    <>
      <p role="status">
        <strong>{replay.did_match ? 'It matches' : 'It does not match'}</strong>: {stats.n_matched.toLocaleString('en')} of{' '}
        {counted(stats.n_scan, 'event')}
        {wasCut && '; there are more than were read'}.{replay.error && ` ${replay.error}`}
      </p>
      {parts.map(([name, all]) =>
        all.length ? (
          <details key={name}>
            <summary>
              {name} <span className="soft">{all.length.toLocaleString('en')}</span>
            </summary>
            <pre className="code" tabIndex={0} role="region" aria-label={name}>
              {JSON.stringify(all.slice(0, SHOWN_MAX), null, 2)}
            </pre>
          </details>
        ) : null,
      )}
    </>
  )
}
