import { useId } from 'react'
import type { Judged } from './useCommand.ts'

const EXAMPLES = ['run --shell-command "uname -a"', 'dir_list /etc *', 'os_kill_process --pid 4']

const sentenceOf = (words: string) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`

interface Props {
  value: string
  judged: Judged
  change: (line: string) => void
}

/** The command line of a task, with the commands that there are, how each is written, and what is wrong. */
export function CommandField({ value, judged, change }: Props) {
  const id = useId()
  const { all, known, mistake } = judged
  // Who types a line of a shell means a program of the machine.
  const asProgram = mistake && !known && !/["\\]/.test(value) ? `run --shell-command "${value.trim()}"` : undefined
  return (
    <div className="field">
      <label htmlFor={id}>Command</label>
      <input
        id={id}
        className="mono"
        required
        list={`${id}list`}
        autoComplete="off"
        spellCheck={false}
        placeholder={EXAMPLES[0]}
        aria-invalid={Boolean(mistake)}
        aria-describedby={`${id}help`}
        value={value}
        onChange={(event) => change(event.target.value)}
      />
      <datalist id={`${id}list`}>
        {EXAMPLES.map((example) => (
          <option key={example} value={example} />
        ))}
        {all.map((one) => (
          <option key={one.name} value={one.name} label={one.summary} />
        ))}
      </datalist>
      {mistake && (
        <small className="bad" role="alert">
          {mistake}
        </small>
      )}
      {asProgram && (
        <div>
          <button type="button" onClick={() => change(asProgram)}>
            Write it as a program of the machine
          </button>
        </div>
      )}
      <small id={`${id}help`}>
        {known ? (
          <>
            {sentenceOf(known.summary)} Sensors of {known.platforms.join(', ')} have it.
          </>
        ) : (
          <>
            To run a program of the machine: <code>run --shell-command "…"</code>. The field offers the commands that there are.
          </>
        )}
      </small>
      {known && (
        <details>
          <summary>How the command is written</summary>
          <pre className="code ruled" tabIndex={0}>
            {known.usage}
          </pre>
        </details>
      )}
    </div>
  )
}
