import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useId, useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { SensorPage } from '../api/types.ts'
import { Dialog } from '../look/Dialog.tsx'
import { pagesFor } from './pages.ts'

const SENSORS_SHOWN = 8

/** Go to a page, a sensor by its host name, or a task by its id. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const { org, oid, may } = useOrganization()
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const id = useId()
  const words = text.trim()
  const sensors = useQuery({
    queryKey: ['palette', oid, words],
    queryFn: ({ signal }) => call<SensorPage>('GET', `/v1/sensors/${oid}`, { with_hostname_prefix: words, limit: SENSORS_SHOWN }, signal),
    enabled: words.length > 0 && may('sensor.list'),
  })
  const isTask = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(words)
  const found = [
    ...pagesFor(may)
      .filter((page) => page.name.toLowerCase().includes(words.toLowerCase()))
      .map((page) => ({ name: page.name, kind: page.group || 'Page', path: page.path })),
    ...(isTask ? [{ name: `Task ${words}`, kind: 'Reliable task', path: `reliable-tasking/${words}` }] : []),
    ...(sensors.data?.sensors ?? []).map((sensor) => ({
      name: sensor.hostname || sensor.sid,
      kind: 'Sensor',
      path: `sensors/${sensor.sid}`,
    })),
  ]
  const go = (path: string | undefined, isNewTab: boolean) => {
    if (path === undefined) return
    onClose()
    const href = `/${org}${path ? `/${path}` : ''}`
    if (isNewTab) window.open(`/console${href}`, '_blank', 'noopener')
    else void navigate({ href })
  }
  return (
    <Dialog title="Go to" onClose={onClose}>
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}list`}
        aria-label="Page, host name or task id"
        aria-activedescendant={found[at] ? `${id}${at}` : undefined}
        value={text}
        onChange={(event) => {
          setText(event.target.value)
          setAt(0)
        }}
        onKeyDown={(event) => {
          if (event.key === 'ArrowDown') setAt(Math.min(at + 1, found.length - 1))
          else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0))
          else if (event.key === 'Enter') go(found[at]?.path, event.ctrlKey || event.metaKey)
          else return
          event.preventDefault()
        }}
      />
      <ul className="list" id={`${id}list`} role="listbox" aria-label="Found" tabIndex={-1}>
        {found.map((one, index) => (
          // The keys are handled by the field, which keeps the focus.
          // biome-ignore lint/a11y/useKeyWithClickEvents: see above
          <li
            key={`${one.kind}${one.path}`}
            id={`${id}${index}`}
            role="option"
            aria-selected={index === at}
            onClick={(event) => go(one.path, event.ctrlKey || event.metaKey)}
          >
            {one.name} <span className="soft">{one.kind}</span>
          </li>
        ))}
      </ul>
      <p role="status" className="soft">
        {found.length ? `${found.length} found. Enter opens, Ctrl-Enter in a new tab.` : 'Nothing of this name.'}
      </p>
    </Dialog>
  )
}
