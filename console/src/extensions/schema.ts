import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { ObjectSchema } from '../schema/form.ts'

/** Something that an extension can be asked for. */
export interface Action {
  is_user_facing?: boolean | null
  label?: string | null
  short_description?: string | null
  long_description?: string | null
  parameters?: ObjectSchema | null
}
/** What an extension offers, as it says itself. */
export interface Schema {
  request_schema?: Record<string, Action> | null
  config_schema?: ObjectSchema | null
}

export function useSchema(name: string, enabled: boolean) {
  const { oid } = useOrganization()
  return useQuery({
    queryKey: ['schema', oid, name],
    queryFn: ({ signal }) =>
      call<{ schema?: Schema } & Schema>('GET', `/v1/extension/schema/${encodeURIComponent(name)}`, { oid }, signal).then(
        (answer) => answer.schema ?? answer,
      ),
    enabled,
    staleTime: Infinity,
  })
}
