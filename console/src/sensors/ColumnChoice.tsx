import { useState } from 'react'
import { Dialog } from '../look/Dialog.tsx'
import { CHOICES } from './columns.tsx'

/** Asks which columns the list shows. */
export function ColumnChoice({ shown, choose }: { shown: readonly string[]; choose: (names: string[]) => void }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="wide" onClick={() => setOpen(true)}>
        Columns…
      </button>
      {isOpen && (
        <Dialog title="Columns of the list" onClose={() => setOpen(false)}>
          {CHOICES.map((name) => (
            <label key={name} className="line">
              <input
                type="checkbox"
                checked={shown.includes(name)}
                onChange={(event) => choose(CHOICES.filter((one) => (one === name ? event.target.checked : shown.includes(one))))}
              />
              {name}
            </label>
          ))}
          <div className="actions">
            <button type="button" className="prime" onClick={() => setOpen(false)}>
              Done
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}
