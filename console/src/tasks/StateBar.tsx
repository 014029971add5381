import type { Task } from '../api/types.ts'
import { doneOf, failedOf, goneOf, openOf } from './counts.ts'

/** How far a task is: a bar with a pattern, and the same in words. */
export function StateBar({ task }: { task: Task }) {
  const parts: [string, number][] = [
    ['done', doneOf(task)],
    ['failed', failedOf(task)],
    ['open', openOf(task)],
    ['gone', goneOf(task)],
  ]
  const words = `${doneOf(task).toLocaleString('en')} of ${task.total.toLocaleString('en')} finished`
  return (
    <div>
      <div className="bar" aria-hidden="true">
        {parts.map(([name, count]) =>
          count ? <span key={name} className={name} style={{ width: `${(100 * count) / Math.max(task.total, 1)}%` }} /> : null,
        )}
      </div>
      <small className="soft">{words}</small>
    </div>
  )
}
