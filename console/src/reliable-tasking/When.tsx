import { useId } from 'react'
import { DAYS } from './conditions.ts'

export interface Times {
  from: string
  to: string
  days: readonly number[]
}

/** Only at some hours of the machine. */
export function When({ times, change }: { times: Times; change: (times: Times) => void }) {
  const id = useId()
  const toggle = (day: number) =>
    change({ ...times, days: times.days.includes(day) ? times.days.filter((one) => one !== day) : [...times.days, day] })
  return (
    <details>
      <summary>Only at some hours</summary>
      <div className="field">
        <div className="line">
          <label htmlFor={`${id}from`}>From</label>
          <input id={`${id}from`} type="time" value={times.from} onChange={(event) => change({ ...times, from: event.target.value })} />
          <label htmlFor={`${id}to`}>to</label>
          <input id={`${id}to`} type="time" value={times.to} onChange={(event) => change({ ...times, to: event.target.value })} />
        </div>
        <fieldset className="checks">
          <legend>On days</legend>
          {DAYS.map((name, day) => (
            <label key={name} className="line">
              <input type="checkbox" checked={times.days.includes(day)} onChange={() => toggle(day)} />
              {name}
            </label>
          ))}
        </fieldset>
        <small>By the clock of each machine, checked just before it runs the command. No day is every day.</small>
      </div>
    </details>
  )
}
