import { useSyncExternalStore } from 'react'

interface Notice {
  id: number
  text: string
  isBad: boolean
  next?: Next | undefined
}
/** What can follow: a page that shows what came of it, or an act that takes it back. */
type Next = { text: string } & ({ href: string } | { act: () => void })
const SHOWN_MS = 10_000
const SHOWN_MAX = 4
let notices: Notice[] = []
let nextId = 1
const watchers = new Set<() => void>()
const say = (changed: Notice[]) => {
  notices = changed
  for (const watcher of watchers) watcher()
}

/** Says what came of something the user did, and what can follow. */
export function notify(text: string, next?: Next, isBad = false) {
  const id = nextId++
  say([...notices, { id, text, isBad, next }].slice(-SHOWN_MAX))
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
            {notice.next && 'href' in notice.next && <a href={notice.next.href}>{notice.next.text}</a>}
            {notice.next && 'act' in notice.next && <Act id={notice.id} text={notice.next.text} act={notice.next.act} />}
            <button type="button" className="plain" onClick={() => dismiss(notice.id)}>
              Dismiss
            </button>
          </div>
        </div>
      ))}
    </div>
  )
}

function Act({ id, text, act }: { id: number; text: string; act: () => void }) {
  const take = () => {
    dismiss(id)
    act()
  }
  return (
    <button type="button" onClick={take}>
      {text}
    </button>
  )
}
