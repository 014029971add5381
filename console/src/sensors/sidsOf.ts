import { call } from '../api/client.ts'
import type { SensorPage } from '../api/types.ts'
import { fieldsOf, type Which } from './which.ts'

const PAGE = 1_000

/** The sensors that are meant, all of them, as of now. */
export async function sidsOf(which: Which, signal?: AbortSignal): Promise<string[]> {
  if (which.picked.length) return [...which.picked]
  const sids: string[] = []
  for (;;) {
    const fields = { ...fieldsOf(which), offset: sids.length, limit: PAGE, fields: 'sid' }
    const page = await call<SensorPage>('GET', `/v1/sensors/${which.oid}`, fields, signal)
    sids.push(...page.sensors.map((sensor) => sensor.sid))
    if (!page.sensors.length || sids.length >= page.total) return sids
  }
}
