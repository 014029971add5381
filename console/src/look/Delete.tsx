import { useState } from 'react'
import { Confirm } from './Dialog.tsx'
import { complain, notify } from './notices.tsx'

interface Props {
  /** What is deleted, as the user calls it. */
  name: string
  /** What follows from it. */
  children: React.ReactNode
  remove: () => Promise<unknown>
  then: () => void
  does?: string
}

/** A button that asks, and then deletes. */
export function Delete({ name, children, remove, then, does = 'Delete' }: Props) {
  const [isAsking, setAsking] = useState(false)
  const [busy, setBusy] = useState(false)
  const go = async () => {
    setBusy(true)
    try {
      await remove()
      notify(`${name}: gone.`)
      then()
    } catch (error) {
      complain(`${name} stays`, error)
    }
    setBusy(false)
    setAsking(false)
  }
  return (
    <>
      <button type="button" aria-label={`${does} ${name}`} onClick={() => setAsking(true)}>
        {does}…
      </button>
      {isAsking && (
        <Confirm title={`${does} ${name}?`} does={does} busy={busy} onYes={() => void go()} onClose={() => setAsking(false)}>
          <p>{children}</p>
        </Confirm>
      )}
    </>
  )
}
