import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { CopyAs } from '../look/CopyAs.tsx'
import { complain } from '../look/notices.tsx'
import { quoted } from '../look/quoted.ts'
import { ofSids } from '../selector/ofSids.ts'
import { Bulk, type BulkAct } from './Bulk.tsx'
import { sidsOf } from './sidsOf.ts'
import { fieldsOf, type Which } from './which.ts'

interface Props {
  picked: ReadonlySet<string>
  selector: string
  state: Which['state']
  total: number
  /** A command that was begun and waits for its sensors. */
  task: string | undefined
  clear: () => void
  changed: () => void
}

/** Sensors that are named one by one, at most. */
const NAMED_MAX = 100

const ISOLATE: BulkAct = {
  does: 'Isolate',
  means:
    'Each machine keeps its connection to this server and loses every other one, also when it is back later. It ends when you rejoin it here.',
  act: (sid) => call('POST', `/v1/${sid}/isolation`),
}
const REJOIN: BulkAct = {
  does: 'Rejoin',
  means: 'Each machine that is isolated gets its network back.',
  act: (sid) => call('DELETE', `/v1/${sid}/isolation`),
}
const tagging = (tag: string): BulkAct => ({
  does: `Tag ${tag}`,
  means: 'Rules and selectors that look at tags see it at once.',
  act: (sid) => call('POST', `/v1/${sid}/tags`, { tags: tag }),
})

/** What can be done with the sensors that are selected, or with all that match. */
export function PickBar({ picked, selector, state, total, task, clear, changed }: Props) {
  const { org, oid, may } = useOrganization()
  const navigate = useNavigate()
  const [tag, setTag] = useState('')
  const [bulk, setBulk] = useState<BulkAct>()
  const sids = [...picked]
  const asSelector = sids.length ? ofSids(sids) : selector
  const which: Which = { oid, picked: sids, selector, state }
  // A selector knows nothing of who is online, so those that are meant are named; so many that their names still fit into an address.
  const isNamed = state !== undefined && !sids.length && total <= NAMED_MAX
  const run = async () => {
    const meant = isNamed ? ofSids(await sidsOf(which)) : asSelector
    await navigate({ to: '/$org/reliable-tasking/new', params: { org }, search: { selector: meant || undefined, task } })
  }
  return (
    <div className="pick-bar">
      <span role="status">{sids.length ? `${sids.length} selected` : `all ${total.toLocaleString('en')} that match`}</span>
      {may('ext.request') && (
        <button type="button" className="prime" onClick={() => run().catch((error) => complain('The sensors could not be read', error))}>
          {state === undefined || sids.length || isNamed ? 'Run a command on them…' : 'Run a command on all that the selector means…'}
        </button>
      )}
      {may('sensor.task') &&
        [ISOLATE, REJOIN].map((one) => (
          <button key={one.does} type="button" onClick={() => setBulk(one)}>
            {one.does}…
          </button>
        ))}
      {may('sensor.tag') && (
        <form
          className="line"
          onSubmit={(event) => {
            event.preventDefault()
            setBulk(tagging(tag.trim()))
          }}
        >
          <input
            className="short"
            aria-label="Tag"
            placeholder="tag"
            required
            value={tag}
            onChange={(event) => setTag(event.target.value)}
          />
          <button type="submit">Add tag…</button>
        </form>
      )}
      <CopyAs
        cli={() => `muster sensors${asSelector ? ` --selector ${quoted(asSelector)}` : ''}${state ? ` --${state}` : ''}`}
        path={`/v1/sensors/${oid}`}
        fields={() => fieldsOf({ selector: asSelector, state })}
      />
      {sids.length > 0 && (
        <button type="button" className="plain" onClick={clear}>
          Clear selection
        </button>
      )}
      {bulk && <Bulk which={which} bulk={bulk} close={() => setBulk(undefined)} changed={changed} />}
    </div>
  )
}
