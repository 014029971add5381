import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useId } from 'react'
import { call } from '../api/client.ts'
import { sessionQuery, slugOf } from '../api/session.ts'
import { Dialog } from '../look/Dialog.tsx'
import { notify } from '../look/notices.tsx'
import { Submit } from '../look/Submit.tsx'
import { useSend } from '../look/useSend.ts'

/** Makes an organization, and goes there. */
export function NewOrganization({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const id = useId()
  const { failure, submit, busy } = useSend(async (form) => {
    const name = String(form.get('name')).trim()
    const made = await call<{ data: { oid: string } }>('POST', '/v1/orgs/new', { name })
    const session = await queries.fetchQuery({ ...sessionQuery, staleTime: 0 })
    const organization = session.organizations.find((one) => one.oid === made.data.oid)
    notify(`The organization ${name} is made. You may do everything in it.`)
    onClose()
    if (organization) await navigate({ to: '/$org', params: { org: slugOf(organization, session.organizations) } })
  })
  return (
    <Dialog title="New organization" onClose={onClose}>
      <p>It has sensors, tasks, rules and users of its own, and sees nothing of any other.</p>
      <form onSubmit={submit}>
        <div className="field">
          <label htmlFor={id}>Name</label>
          <input id={id} name="name" required autoComplete="off" />
        </div>
        <Submit does="Make it" busy={busy} what="It was not made" failure={failure} />
      </form>
    </Dialog>
  )
}
