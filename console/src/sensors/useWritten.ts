import { useQuery } from '@tanstack/react-query'
import { call, type Failure } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { SensorPage } from '../api/types.ts'
import { useSettled } from '../look/useSettled.ts'
import { fieldsOf, type Which } from './which.ts'

const TRY_AFTER_MS = 150

/** What the server says of a selector that is being written and not applied yet: how many sensors it means, or what is wrong. */
export function useWritten(selector: string, state: Which['state'], isApplied: boolean): { total?: number; mistake?: string } {
  const { oid } = useOrganization()
  const tried = useSettled(selector, TRY_AFTER_MS)
  const read = useQuery({
    queryKey: ['written', oid, tried, state],
    queryFn: ({ signal }) =>
      call<SensorPage>('GET', `/v1/sensors/${oid}`, { ...fieldsOf({ selector: tried, state }), offset: 0, limit: 1 }, signal),
    enabled: oid !== '' && !isApplied && tried === selector,
    retry: false,
  })
  if (isApplied || tried !== selector) return {}
  if (read.error) return { mistake: (read.error as Failure).message }
  return read.data ? { total: read.data.total } : {}
}
