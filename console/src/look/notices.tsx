import { useSyncExternalStore } from 'react'

interface Notice {
  id: number
  text: string
  isBad: boolean
  to?: { href: string; text: string } | undefined
}
const SHOWN_MS = 10_000
const SHOWN_MAX = 4
let notices: Notice[] = []
let nextId = 1
const watchers = new Set<() => void>()
const say = (changed: Notice[]) => {
  notices = changed
  for (const watcher of watchers) watcher()
}

/** Says what came of something the user did, with a link to it. */
export function notify(text: string, to?: { href: string; text: string }, isBad = false) {
  const id = nextId++
  say([...notices, { id, text, isBad, to }].slice(-SHOWN_MAX))
  if (!isBad) setTimeout(() => dismiss(id), SHOWN_MS)
}
export const complain = (what: string, error: unknown) =>
  notify(`${what}: ${error instanceof Error ? error.message : String(error)}`, undefined, true)
const dismiss = (id: number) => say(notices.filter((notice) => notice.id !== id))

export function Notices() {
  const shown = useSyncExternalStore(
    (changed) => {
      watchers.add(changed)
      return () => {
        watchers.delete(changed)
      }
    },
    () => notices,
  )
  return (
    <div className="notices" role="status">
      {shown.map((notice) => (
        <div key={notice.id} className={`note ${notice.isBad ? 'bad-note' : ''}`}>
          <p>{notice.text}</p>
          <div className="line">
            {notice.to && <a href={notice.to.href}>{notice.to.text}</a>}
            <button type="button" className="plain" onClick={() => dismiss(notice.id)}>
              Dismiss
            </button>
          </div>
        </div>
      ))}
    </div>
  )
}
