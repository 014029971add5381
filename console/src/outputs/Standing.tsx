import type { OutputStanding } from '../api/types.ts'
import { Time } from '../look/Time.tsx'

/** Whether an output delivers, as a word, a shape and a colour; if not, why not and when it tries again. */
export function Standing({ of }: { of: OutputStanding }) {
  if (of.error)
    return (
      <span className="state told bad" data-shape="✕">
        {of.error};{' '}
        {of.next_try && of.next_try * 1000 > Date.now() ? (
          <>
            next try <Time ms={of.next_try * 1000} ago />
          </>
        ) : (
          'it is tried again now'
        )}
      </span>
    )
  if (of.delivered)
    return (
      <span className="state told on" data-shape="●">
        delivers; last <Time ms={of.delivered * 1000} ago />
      </span>
    )
  return (
    <span className="state off" data-shape="○">
      nothing was sent yet
    </span>
  )
}
