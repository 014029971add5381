import { Copy } from './Copy.tsx'
import { Dialog } from './Dialog.tsx'

/** A secret that is shown this once. */
export function Once({
  title,
  secret,
  children,
  onClose,
}: {
  title: string
  secret: string
  children?: React.ReactNode
  onClose: () => void
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>It is shown this once: copy it now.</p>
      <pre className="code" tabIndex={0}>
        {secret}
      </pre>
      {children}
      <div className="actions">
        <Copy text={secret} className="prime">
          Copy
        </Copy>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
