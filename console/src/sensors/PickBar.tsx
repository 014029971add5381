import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Copy } from '../look/Copy.tsx'
import { quoted } from '../look/quoted.ts'
import { Bulk, type BulkAct } from './Bulk.tsx'

interface Props {
  picked: ReadonlySet<string>
  selector: string
  online: boolean
  total: number
  clear: () => void
  changed: () => void
}

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
export function PickBar({ picked, selector, online, total, clear, changed }: Props) {
  const { org, oid, may } = useOrganization()
  const navigate = useNavigate()
  const [tag, setTag] = useState('')
  const [bulk, setBulk] = useState<BulkAct>()
  const sids = [...picked]
  const asSelector = sids.length ? sids.map((sid) => `sid == "${sid}"`).join(' or ') : selector
  return (
    <div className="pick-bar">
      <span role="status">{sids.length ? `${sids.length} selected` : `all ${total.toLocaleString('en')} that match`}</span>
      {may('ext.request') && (
        <button
          type="button"
          onClick={() =>
            void navigate({ to: '/$org/reliable-tasking/new', params: { org }, search: { selector: asSelector || undefined } })
          }
        >
          Run a command on them…
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
          <input aria-label="Tag" placeholder="tag" required value={tag} onChange={(event) => setTag(event.target.value)} />
          <button type="submit">Add tag…</button>
        </form>
      )}
      <Copy text={() => `muster sensors${asSelector ? ` --selector ${quoted(asSelector)}` : ''}`}>Copy as CLI</Copy>
      {sids.length > 0 && (
        <button type="button" className="plain" onClick={clear}>
          Clear selection
        </button>
      )}
      {bulk && <Bulk which={{ oid, picked: sids, selector, online }} bulk={bulk} close={() => setBulk(undefined)} changed={changed} />}
    </div>
  )
}
