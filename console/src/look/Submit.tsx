import { Failure } from './Failure.tsx'

interface Props {
  /** What the button does. */
  does: string
  busy: boolean
  /** What did not happen, in case it fails. */
  what: string
  failure: unknown
}

/** The end of a form: why it was refused, and the button that sends it. */
export function Submit({ does, busy, what, failure }: Props) {
  return (
    <>
      {failure !== undefined && <Failure what={what} error={failure} />}
      <div>
        <button type="submit" className="prime" disabled={busy}>
          {does}
        </button>
      </div>
    </>
  )
}
