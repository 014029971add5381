import { Failure as Refusal } from '../api/client.ts'
import { Remedy } from './Remedy.tsx'

/** What failed, the server's own sentence, and what to do: in place of the part of the page that it concerns. */
export function Failure({ what, error, again }: { what: string; error: unknown; again?: () => void }) {
  if (error instanceof Refusal && error.missing) return <Forbidden permission={error.missing} />
  const refusal = error instanceof Refusal ? error : undefined
  return (
    <div className="note bad-note" role="alert">
      <p>
        <strong>{what}</strong>
      </p>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      {refusal?.code && <Remedy code={refusal.code} />}
      {refusal?.requestId && <p className="soft">Request {refusal.requestId}</p>}
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  )
}

export function Forbidden({ permission }: { permission: string }) {
  return (
    <div className="note warn-note" role="alert">
      <p>
        <strong>This needs the permission {permission}.</strong>
      </p>
      <p>Whoever manages the users of this organization (permission user.ctrl) can give it to you.</p>
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: React.ReactNode }) {
  return (
    <div className="note">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  )
}
