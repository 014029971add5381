import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Sensor } from '../api/types.ts'
import { complain, notify } from '../look/notices.tsx'

interface Change {
  method: 'POST' | 'DELETE'
  name: string
}

/** The tags of a sensor, edited in place. */
export function Tags({ info, changed }: { info: Sensor; changed: () => void }) {
  const { may } = useOrganization()
  const [tag, setTag] = useState('')
  const change = useMutation({
    mutationFn: ({ method, name }: Change) => call(method, `/v1/${info.sid}/tags`, method === 'POST' ? { tags: name } : { tag: name }),
    onSuccess: (_, { method, name }) => {
      if (method === 'POST') setTag('')
      else notify(`The tag ${name} is removed.`, { text: 'Undo', act: () => change.mutate({ method: 'POST', name }) })
      changed()
    },
    onError: (error) => complain('The tags were not changed', error),
  })
  return (
    <section className="panel">
      <h2>Tags</h2>
      <div>
        {info.tags?.map((name) => (
          <span key={name} className="tag" title={name}>
            {name}
            {may('sensor.tag') && (
              <button type="button" aria-label={`Remove the tag ${name}`} onClick={() => change.mutate({ method: 'DELETE', name })}>
                ×
              </button>
            )}
          </span>
        ))}
        {!info.tags?.length && <span className="soft">none</span>}
      </div>
      {may('sensor.tag') && (
        <form
          className="line"
          onSubmit={(event) => {
            event.preventDefault()
            change.mutate({ method: 'POST', name: tag.trim() })
          }}
        >
          <input aria-label="New tag" placeholder="tag" required value={tag} onChange={(event) => setTag(event.target.value)} />
          <button type="submit" disabled={change.isPending}>
            Add
          </button>
        </form>
      )}
    </section>
  )
}
