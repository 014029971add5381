import { useEffect, useId, useRef } from 'react'

/** A dialog over the page: the browser's own, which keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: React.ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const shown = dialog.current
    if (shown && !shown.open) shown.showModal()
  }, [])
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <div>
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  )
}

/** Asks before something that cannot be taken back; `word` must be typed first, if there is one. */
export function Confirm(props: {
  title: string
  does: string
  word?: string
  busy?: boolean
  onYes: () => void
  onClose: () => void
  children: React.ReactNode
}) {
  const { title, does, word, busy, onYes, onClose, children } = props
  const field = useRef<HTMLInputElement>(null)
  const id = useId()
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (word && field.current?.value !== word) {
            field.current?.setCustomValidity(`Type ${word}`)
            field.current?.reportValidity()
            return
          }
          onYes()
        }}
      >
        {children}
        {word && (
          <div className="field">
            <label htmlFor={id}>Type {word} to go on</label>
            <input id={id} ref={field} autoComplete="off" onInput={(event) => event.currentTarget.setCustomValidity('')} />
          </div>
        )}
        <div className="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="danger" disabled={busy}>
            {does}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
