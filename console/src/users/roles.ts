import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { UserPermissions } from '../api/types.ts'

/** Roles of the server, from the mightiest. */
export const ROLES = ['Owner', 'Administrator', 'Operator', 'Viewer', 'Basic'] as const

/** Who may do what in the organization, and what each role may. */
export function useUsers() {
  const { oid, may } = useOrganization()
  return useQuery({
    queryKey: ['users', oid],
    queryFn: ({ signal }) => call<UserPermissions>('GET', `/v1/orgs/${oid}/users/permissions`, {}, signal),
    enabled: oid !== '' && may('user.ctrl'),
  })
}
