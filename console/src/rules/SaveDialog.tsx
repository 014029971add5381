import { difference } from '../editor/difference.ts'
import { Dialog } from '../look/Dialog.tsx'

const SIGNS = { same: ' ', added: '+', removed: '−' }

/** Shows what would change before it is stored. */
export function SaveDialog(props: { before: string; after: string; onYes: () => void; onClose: () => void }) {
  const { before, after, onYes, onClose } = props
  const lines = difference(before, after)
  return (
    <Dialog title="What changes" onClose={onClose}>
      {lines.some((line) => line && line.kind !== 'same') ? (
        <pre className="code difference" tabIndex={0}>
          {lines.map((line, at) => (
            <span key={at} className={line?.kind}>{`${line ? `${SIGNS[line.kind]} ${line.text}` : '  …'}\n`}</span>
          ))}
        </pre>
      ) : (
        <p>The text is the same as before.</p>
      )}
      <div className="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="prime" onClick={onYes}>
          Save
        </button>
      </div>
    </Dialog>
  )
}
