import { useId } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Failure } from '../look/Failure.tsx'
import { notify } from '../look/notices.tsx'
import { useSend } from '../look/useSend.ts'
import { ROLES } from './roles.ts'

/** Adds somebody to the organization. */
export function Invite({ made }: { made: () => void }) {
  const { oid } = useOrganization()
  const id = useId()
  const { failure, submit, busy } = useSend(async (form) => {
    const email = String(form.get('email')).trim()
    await call('POST', `/v1/orgs/${oid}/users`, { email, role: String(form.get('role')) })
    notify(`${email} belongs to the organization. Nothing was sent: make a link for a password, and hand it over.`)
    made()
  })
  return (
    <form onSubmit={submit} className="line">
      <label htmlFor={`${id}email`}>Add</label>
      <input id={`${id}email`} name="email" type="email" required placeholder="e-mail address" />
      <select name="role" aria-label="Role of the new user" defaultValue="Viewer">
        {ROLES.map((role) => (
          <option key={role}>{role}</option>
        ))}
      </select>
      <button type="submit" disabled={busy}>
        Add user
      </button>
      {failure !== undefined && <Failure what="Nobody was added" error={failure} />}
    </form>
  )
}
