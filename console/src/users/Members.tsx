import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Once } from '../look/Once.tsx'
import { Reading } from '../look/Reading.tsx'
import { counted } from '../look/words.ts'
import { Invite } from './Invite.tsx'
import { Roles } from './Roles.tsx'
import { ROLES, useUsers } from './roles.ts'

const HEADS = [{ name: 'User' }, { name: 'May', isWide: true }, { name: 'Role' }, { name: 'Acts' }]

/** People of the organization, and what each may. */
export function Members() {
  const { oid, may } = useOrganization()
  const path = `/v1/orgs/${oid}/users`
  const [link, setLink] = useState<string>()
  const users = useUsers()
  const again = () => void users.refetch()
  const setRole = useMutation({
    mutationFn: ({ email, role }: { email: string; role: string }) => call('PUT', `${path}/role`, { email, role }),
    onSuccess: (_, { email, role }) => notify(`${email} is ${role} now.`),
    onError: (error) => complain('The role was not changed', error),
    onSettled: again,
  })
  const makeLink = useMutation({
    mutationFn: (email: string) => call<{ path: string }>('POST', `${path}/link`, { email, purpose: 'password' }),
    onSuccess: (answer) => setLink(`${location.origin}${answer.path}`),
    onError: (error) => complain('There is no link', error),
  })
  if (!may('user.ctrl')) return <Forbidden permission="user.ctrl" />
  return (
    <section className="panel">
      <h2>Users</h2>
      <Reading of={users} what="Users" />
      {users.data && (
        <ListTable
          label="Users"
          heads={HEADS}
          rows={Object.entries(users.data.user_permissions).map(([email, permissions]) => ({
            key: email,
            cells: [
              email,
              <details key="may">
                <summary>{counted(permissions.length, 'permission')}</summary>
                <code>{permissions.join(' ')}</code>
              </details>,
              <select
                key="role"
                aria-label={`Role of ${email}`}
                value=""
                onChange={(event) => setRole.mutate({ email, role: event.target.value })}
              >
                <option value="">give a role…</option>
                {ROLES.map((role) => (
                  <option key={role}>{role}</option>
                ))}
              </select>,
              <span key="acts" className="line">
                <button type="button" onClick={() => makeLink.mutate(email)}>
                  Link for a password
                </button>
                <Delete name={email} does="Remove" remove={() => call('DELETE', path, { email })} then={again}>
                  {email} loses every permission here at once.
                </Delete>
              </span>,
            ],
          }))}
        />
      )}
      {users.data && <Roles roles={users.data.roles} />}
      <Invite made={again} />
      {link && <Once title="A link for 15 minutes" secret={link} onClose={() => setLink(undefined)} />}
    </section>
  )
}
