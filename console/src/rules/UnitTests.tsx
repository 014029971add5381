import { useQuery } from '@tanstack/react-query'
import { post } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Replay } from '../api/types.ts'
import { readYaml } from '../editor/yaml.ts'
import { Reading } from '../look/Reading.tsx'
import { useSettled } from '../look/useSettled.ts'
import { apart, type UnitTest } from './unitTests.ts'

const TRY_AFTER_MS = 600
/** Tests that are run here; the server runs all of them when the rule is stored. */
const RUN_MAX = 20
const EXAMPLE = `tests:
  match:
    - - {event: {FILE_PATH: /usr/bin/whoami}, routing: {event_type: NEW_PROCESS}}
  non_match:
    - - {event: {FILE_PATH: /usr/bin/id}, routing: {event_type: NEW_PROCESS}}`

/** The tests that the rule carries, each with what came of it and how. */
export function UnitTests({ text }: { text: string }) {
  const { oid } = useOrganization()
  const { bare, tests } = apart(readYaml(useSettled(text, TRY_AFTER_MS)).value)
  const run = tests.slice(0, RUN_MAX)
  const read = useQuery({
    queryKey: ['unit-tests', oid, JSON.stringify([bare, run])],
    queryFn: () => Promise.all(run.map(({ events }) => replayed(oid, bare, events))),
    enabled: run.length > 0,
    staleTime: Infinity,
    retry: false,
  })
  if (!tests.length)
    return (
      <>
        <p>
          The rule has none. Tests are written into the rule: of each <code>match</code> one event must match, of a <code>non_match</code>{' '}
          none may. A rule whose tests fail is not stored.
        </p>
        <pre className="code ruled" tabIndex={0}>
          {EXAMPLE}
        </pre>
      </>
    )
  return (
    <>
      <Reading of={read} what="The tests" />
      {run.map((test, at) => {
        const replay = read.data?.[at]
        return replay && <Outcome key={test.name} test={test} replay={replay} />
      })}
      {tests.length > run.length && <p className="soft">The first {RUN_MAX} are run here; the server runs all when the rule is stored.</p>}
    </>
  )
}

const replayed = (oid: string, rule: unknown, events: unknown[]) =>
  post<Replay>(`/v1/replay/${oid}`, { rule_source: { rule }, event_source: { events }, trace: true })

function Outcome({ test, replay }: { test: UnitTest; replay: Replay }) {
  const isRight = replay.did_match === test.isMatch
  return (
    <details>
      <summary>
        <span className={`state ${isRight ? 'on' : 'bad'}`} data-shape={isRight ? '●' : '✕'}>
          {test.name} {isRight ? 'passes' : `fails: ${test.isMatch ? 'nothing of it matches' : 'it matches'}`}
        </span>
      </summary>
      <pre className="code" tabIndex={0} role="region" aria-label={`${test.name}, step by step`}>
        {replay.traces.map((steps) => steps.join('\n')).join('\n\n')}
      </pre>
    </details>
  )
}
