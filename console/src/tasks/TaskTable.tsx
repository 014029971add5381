import { Link } from '@tanstack/react-router'
import type { Task } from '../api/types.ts'
import { Time } from '../look/Time.tsx'
import { openOf } from './counts.ts'
import { StateBar } from './StateBar.tsx'

/** Tasks with how far they are. */
export function TaskTable({ tasks, org, label }: { tasks: Task[]; org: string; label: string }) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            <th>Command</th>
            <th className="wide">Sensors</th>
            <th>Progress</th>
            <th className="number">Open</th>
            <th className="number">Failed</th>
            <th className="wide">By</th>
            <th className="wide">Created</th>
          </tr>
        </thead>
        <tbody>
          {tasks.map((task) => (
            <tr key={task.task_id}>
              <td>
                <Link to="/$org/reliable-tasking/$task" params={{ org, task: task.task_id }} className="mono">
                  {task.task}
                </Link>
                {task.paused && <span className="warn"> paused</span>}
                {task.stopped && <span className="bad"> stopped by its failures</span>}
              </td>
              <td className="mono wide">{task.sensor_selector || '*'}</td>
              <td>
                <StateBar task={task} />
              </td>
              <td className="number">{openOf(task).toLocaleString('en')}</td>
              <td className={`number ${task.failures ? 'bad' : ''}`}>{task.failures.toLocaleString('en')}</td>
              <td className="wide">{task.created_by}</td>
              <td className="wide">
                <Time ms={task.created * 1000} ago />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
