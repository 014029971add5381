import { call } from '../api/client.ts'
import { Delete } from '../look/Delete.tsx'
import { Time } from '../look/Time.tsx'
import type { Process } from './tree.ts'

interface Props {
  process: Process
  level: number
  isOpen: boolean
  toggle: () => void
  /** The sensor, if processes can be ended there now. */
  mayKill: string | undefined
}
/** Deeper ones are not set in any further. */
const INSET_MAX = 12

/** One process; left and right close and open what is below it. */
export function ProcessRow({ process, level, isOpen, toggle, mayKill }: Props) {
  const hasChildren = process.children.length > 0
  return (
    <div
      role="treeitem"
      tabIndex={0}
      className="process"
      aria-level={level}
      aria-expanded={hasChildren ? isOpen : undefined}
      style={{ paddingLeft: 16 * Math.min(level - 1, INSET_MAX) }}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget || !hasChildren) return
        if ((event.key === 'ArrowRight' && !isOpen) || (event.key === 'ArrowLeft' && isOpen)) toggle()
      }}
    >
      {hasChildren ? (
        <button type="button" className="plain" tabIndex={-1} aria-label={isOpen ? 'Close' : 'Open'} onClick={toggle}>
          {isOpen ? '▾' : '▸'}
        </button>
      ) : (
        <span className="twig" aria-hidden="true" />
      )}
      <span className="mono grow">
        {process.line || process.path || '?'} <span className="soft">{process.pid}</span>
      </span>
      <span className="soft wide">{process.user}</span>
      <span className="soft wide">
        <Time ms={process.began} />
        {process.ended ? ' · ended' : ''}
      </span>
      {mayKill && !process.ended && (
        <Delete
          name={`process ${process.pid}`}
          does="Kill"
          remove={() => call('POST', `/v1/${mayKill}`, { tasks: `os_kill_process --pid ${process.pid}` })}
          then={() => {}}
        >
          {process.line || process.path} is ended at once, with what it has not saved. If the number belongs to another process by now, that
          one is ended.
        </Delete>
      )}
    </div>
  )
}
