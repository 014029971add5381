import { useId, useReducer, useState } from 'react'
import { useOrganization } from '../api/session.ts'
import { Dialog } from '../look/Dialog.tsx'
import { notify } from '../look/notices.tsx'
import { keep, savedOf, withSaved } from './saved.ts'

interface Props {
  selector: string
  choose: (selector: string) => void
}

/** Leads to the selectors that the user kept; nothing while there are none. */
export function ChooseSaved({ selector, choose }: Props) {
  const { oid } = useOrganization()
  const all = savedOf(oid)
  if (!all.length) return null
  return (
    <select
      aria-label="Saved selectors"
      value={all.find((one) => one.selector === selector.trim())?.name ?? ''}
      onChange={(event) => {
        const chosen = all.find(({ name }) => name === event.target.value)
        if (chosen) choose(chosen.selector)
      }}
    >
      <option value="">saved selectors</option>
      {all.map(({ name }) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  )
}

/** As above; and keeps the selector by a name, or forgets it. */
export function SavedSelectors({ selector, choose }: Props) {
  const { oid } = useOrganization()
  const [, changed] = useReducer((count: number) => count + 1, 0)
  const [isNaming, setNaming] = useState(false)
  const id = useId()
  const all = savedOf(oid)
  const here = all.find((one) => one.selector === selector.trim())
  const save = (name: string) => {
    keep(oid, withSaved(all, { name, selector: selector.trim() }))
    setNaming(false)
    notify(`This browser keeps the selector as ${name}.`)
  }
  const forget = (name: string) => {
    keep(
      oid,
      all.filter((one) => one.name !== name),
    )
    changed()
  }
  return (
    <>
      <ChooseSaved selector={selector} choose={choose} />
      {here ? (
        <button type="button" aria-label={`Forget the saved selector ${here.name}`} onClick={() => forget(here.name)}>
          Forget it
        </button>
      ) : (
        selector.trim() && (
          <button type="button" aria-label="Save the selector" onClick={() => setNaming(true)}>
            Save it…
          </button>
        )
      )}
      {isNaming && (
        <Dialog title="Save the selector" onClose={() => setNaming(false)}>
          <form
            onSubmit={(event) => {
              event.preventDefault()
              save(String(new FormData(event.currentTarget).get('name')).trim())
            }}
          >
            <code>{selector.trim()}</code>
            <div className="field">
              <label htmlFor={id}>Call it</label>
              <input id={id} name="name" required pattern=".*\S.*" maxLength={60} autoComplete="off" />
              <small>This browser keeps it. To give it to somebody else, send them the address of the page.</small>
            </div>
            <div className="actions">
              <button type="button" onClick={() => setNaming(false)}>
                Cancel
              </button>
              <button type="submit" className="prime">
                Save
              </button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  )
}
