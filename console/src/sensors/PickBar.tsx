import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Copy } from '../look/Copy.tsx'
import { complain, notify } from '../look/notices.tsx'
import { quoted } from '../look/quoted.ts'
import { counted } from '../look/words.ts'

interface Props {
  picked: ReadonlySet<string>
  selector: string
  total: number
  clear: () => void
  changed: () => void
}

/** What can be done with the sensors that are selected, or with all that match. */
export function PickBar({ picked, selector, total, clear, changed }: Props) {
  const { org, may } = useOrganization()
  const navigate = useNavigate()
  const [tag, setTag] = useState('')
  const sids = [...picked]
  const asSelector = sids.length ? sids.map((sid) => `sid == "${sid}"`).join(' or ') : selector
  const addTag = async () => {
    try {
      for (const sid of sids) await call('POST', `/v1/${sid}/tags`, { tags: tag.trim() })
      notify(`Tagged ${counted(sids.length, 'sensor')}.`)
      setTag('')
      changed()
    } catch (error) {
      complain('Not all were tagged', error)
    }
  }
  return (
    <div className="pick-bar">
      <span role="status">{sids.length ? `${sids.length} selected` : `all ${total.toLocaleString('en')} that match`}</span>
      <button
        type="button"
        onClick={() => void navigate({ to: '/$org/reliable-tasking/new', params: { org }, search: { selector: asSelector || undefined } })}
      >
        Run a command on them…
      </button>
      <Copy text={() => `muster sensors${asSelector ? ` --selector ${quoted(asSelector)}` : ''}`}>Copy as CLI</Copy>
      {sids.length > 0 && may('sensor.tag') && (
        <form
          className="line"
          onSubmit={(event) => {
            event.preventDefault()
            void addTag()
          }}
        >
          <input aria-label="Tag" placeholder="tag" required value={tag} onChange={(event) => setTag(event.target.value)} />
          <button type="submit">Add tag</button>
        </form>
      )}
      {sids.length > 0 && (
        <button type="button" className="plain" onClick={clear}>
          Clear selection
        </button>
      )}
    </div>
  )
}
