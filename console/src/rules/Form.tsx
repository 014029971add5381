import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { lazy, Suspense, useId, useRef, useState } from 'react'
import { call, Failure as Refusal } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { type Problem, problemOfServer, readYaml, writeYaml } from '../editor/yaml.ts'
import { Confirm } from '../look/Dialog.tsx'
import { Failure } from '../look/Failure.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Time } from '../look/Time.tsx'
import { draftOf, dropDraft, keepDraft } from './draft.ts'
import { type Kind, RULES, type RuleRecord, WORDS } from './kinds.ts'
import { Overtaken } from './Overtaken.tsx'
import { Problems } from './Problems.tsx'
import { SaveDialog } from './SaveDialog.tsx'

const Editor = lazy(() => import('../editor/Editor.tsx'))
const Beside = lazy(() => import('./Beside.tsx'))

interface Props {
  kind: Kind
  /** Absent for a new one. */
  name?: string
  stored?: RuleRecord
  /** To begin with. */
  text: string
}

/** Name, text and whether it is in force; says what is wrong while one writes. */
export function Form({ kind, name, stored, text }: Props) {
  const { oid, org, may } = useOrganization()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [base, setBase] = useState(stored)
  const [chosen, setChosen] = useState(name ?? '')
  const [isEnabled, setEnabled] = useState(stored?.usr_mtd.enabled ?? true)
  const [problems, setProblems] = useState<Problem[]>()
  const [asking, setAsking] = useState<'save' | 'delete'>()
  const [failure, setFailure] = useState<unknown>()
  const [draft, setDraft] = useState(() => draftOf(oid, kind.hive, name ?? ''))
  const begin = draft?.text ?? text
  const now = useRef(begin)
  const id = useId()
  const path = (name: string, part: string) => `/v1/hive/${kind.hive}/${oid}/${encodeURIComponent(name)}${part}`

  const check = async (written: string): Promise<Problem[]> => {
    const { value, problems, find } = readYaml(written)
    let found = problems
    if (!found.length) {
      try {
        await call('POST', path(chosen.trim() || 'new', '/validate'), { data: JSON.stringify(value ?? null) })
      } catch (error) {
        if (!(error instanceof Refusal) || error.status !== 400) throw error
        found = [problemOfServer(written, (place) => find(place.replace(/^data\//, '')), error.message)]
      }
    }
    setProblems(found)
    return found
  }
  const save = async () => {
    setFailure(undefined)
    const { value } = readYaml(now.current)
    const fields = {
      data: JSON.stringify(value ?? null),
      usr_mtd: JSON.stringify({ ...(base?.usr_mtd ?? { expiry: 0, tags: [], comment: '' }), enabled: isEnabled }),
      etag: base?.sys_mtd.etag,
    }
    try {
      await call('POST', path(chosen.trim(), '/data'), fields)
    } catch (error) {
      setFailure(error)
      return
    } finally {
      setAsking(undefined)
    }
    dropDraft(oid, kind.hive, name ?? '')
    notify(`${chosen.trim()} is stored${isEnabled ? ' and in force' : '; it is not in force'}.`)
    await queries.invalidateQueries({ queryKey: ['hive', oid, kind.hive] })
    void navigate({ to: `/$org/${kind.path}`, params: { org } })
  }
  const remove = async () => {
    try {
      await call('DELETE', path(chosen, ''))
      dropDraft(oid, kind.hive, chosen)
      notify(`${chosen} is deleted.`)
      await queries.invalidateQueries({ queryKey: ['hive', oid, kind.hive] })
      void navigate({ to: `/$org/${kind.path}`, params: { org } })
    } catch (error) {
      complain('It was not deleted', error)
      setAsking(undefined)
    }
  }
  const isOvertaken = failure instanceof Refusal && failure.message.includes('ETAG_MISMATCH')
  return (
    <>
      <form
        className="form wide-form"
        onSubmit={(event) => {
          event.preventDefault()
          if (base) setAsking('save')
          else void save()
        }}
      >
        {!stored && (
          <div className="field">
            <label htmlFor={`${id}name`}>Name</label>
            <input id={`${id}name`} required autoComplete="off" value={chosen} onChange={(event) => setChosen(event.target.value)} />
          </div>
        )}
        {draft && (
          <div className="note">
            <p>
              This is what you wrote and did not save, <Time ms={draft.at} ago />.
            </p>
            <button
              type="button"
              onClick={() => {
                dropDraft(oid, kind.hive, name ?? '')
                setDraft(undefined)
                now.current = text
              }}
            >
              Give it up
            </button>
          </div>
        )}
        <Suspense fallback={<div className="edit" aria-busy="true" />}>
          <Editor
            key={begin}
            text={begin}
            label={`${kind.one} as YAML`}
            words={WORDS}
            check={check}
            changed={(written) => {
              now.current = written
              keepDraft(oid, kind.hive, name ?? '', written)
              setProblems(undefined)
            }}
          />
        </Suspense>
        <Problems problems={problems} />
        {kind === RULES && !stored && (
          <p className="soft">
            Ctrl-Space offers what can be written. To begin with something that happened, open it in the timeline of a{' '}
            <Link to="/$org/sensors" params={{ org }}>
              sensor
            </Link>
            : <em>Rule from this…</em>. What a rule reports stands below Detections.
          </p>
        )}
        <label className="line">
          <input type="checkbox" checked={isEnabled} onChange={(event) => setEnabled(event.target.checked)} />
          In force
        </label>
        {isOvertaken ? (
          <Overtaken
            read={() => call<RuleRecord>('GET', path(chosen, '/data'))}
            keep={(theirs) => {
              setBase(theirs)
              setFailure(undefined)
            }}
            giveUp={() => {
              dropDraft(oid, kind.hive, name ?? '')
              location.reload()
            }}
          />
        ) : (
          failure !== undefined && <Failure what="It was not stored" error={failure} />
        )}
        <div className="actions">
          {!chosen.trim() && <span className="soft">It needs a name.</span>}
          {stored && may(kind.del) && (
            <button type="button" className="danger" onClick={() => setAsking('delete')}>
              Delete…
            </button>
          )}
          {may(kind.set) && (
            <button type="submit" className="prime" disabled={problems === undefined || problems.length > 0 || !chosen.trim()}>
              {stored ? 'Save…' : 'Save'}
            </button>
          )}
        </div>
      </form>
      <Suspense fallback={<section className="panel" aria-busy="true" />}>
        <Beside kind={kind} name={name} text={now.current} />
      </Suspense>
      {asking === 'save' && base && (
        <SaveDialog before={writeYaml(base.data)} after={now.current} onYes={() => void save()} onClose={() => setAsking(undefined)} />
      )}
      {asking === 'delete' && (
        <Confirm title={`Delete ${chosen}?`} does="Delete" onYes={() => void remove()} onClose={() => setAsking(undefined)}>
          <p>What it has detected stays. The rule cannot be brought back.</p>
        </Confirm>
      )}
    </>
  )
}
