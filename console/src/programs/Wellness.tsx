import type { Program } from '../api/types.ts'

/** Whether a program answers, as a word, a shape and a colour. */
export function Wellness({ program }: { program: Program }) {
  if (program.is_well)
    return (
      <span className="state on" data-shape="●">
        well
      </span>
    )
  return (
    <span className={`state told ${program.error ? 'bad' : 'off'}`} data-shape={program.error ? '✕' : '○'}>
      {program.error || 'not asked yet'}
    </span>
  )
}
