import { queryOptions, useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { call } from './client'
import type { Organization, Session } from './types'

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => call<Session>('GET', '/console/api/session', {}, signal),
  staleTime: 60_000,
})

/** How an organization is called in addresses: by its name where that is plain and the only one, else by its id. */
export function slugOf(organization: Organization, all: Organization[]): string {
  const isPlain = /^[A-Za-z0-9_-]{1,40}$/.test(organization.name)
  return isPlain && all.filter((other) => other.name === organization.name).length === 1 ? organization.name : organization.oid
}

export function organizationOf(session: Session, slug: string): Organization | undefined {
  return session.organizations.find((one) => one.oid === slug || slugOf(one, session.organizations) === slug)
}

/** The organization of the page, with what the user may do in it. The shell shows no page without one. */
export function useOrganization() {
  const { org = '' } = useParams({ strict: false }) as { org?: string }
  const session = useQuery(sessionQuery).data
  const organization = session && organizationOf(session, org)
  return {
    org,
    oid: organization?.oid ?? '',
    name: organization?.name ?? '',
    may: (permission: string) => organization?.permissions.includes(permission) ?? false,
  }
}
