// A small program against the types that are made from the API description. It only has to compile: that shows
// that the description is exact enough to program by. `npm run types` makes the types and checks it.
import type { components, operations } from './generated/api'

type Schemas = components['schemas']
type Answer<Name extends keyof operations> = operations[Name]['responses'] extends {
  200: { content: { 'application/json': infer Body } }
}
  ? Body
  : never
type Query<Name extends keyof operations> = NonNullable<operations[Name]['parameters']['query']>

/** A name of a state is one of those that there are. */
export function isOver(target: Schemas['Target']): boolean {
  switch (target.state) {
    case 'queued':
    case 'sent':
    case 'confirmed':
    case 'started':
      return false
    // @ts-expect-error there is no such state
    case 'done':
      return true
    default:
      return true
  }
}

/** Every state has a count, and numbers are numbers. */
export function share(task: Schemas['TaskSummary']): number {
  return (task.counts.finished ?? 0) / Math.max(1, task.total)
}

/** Parameters have kinds: a number is no text, and an order is one of those that there are. */
export const query: Query<'sensors_list'> = { limit: 5, offset: 10, sort: '-hostname', is_online_only: true }
// @ts-expect-error a number is no text
export const wrongLimit: Query<'sensors_list'> = { limit: '5' }
// @ts-expect-error there is no such order
export const wrongOrder: Query<'sensors_list'> = { sort: 'name' }
// @ts-expect-error there is no such parameter
export const wrongName: Query<'sensors_list'> = { limits: 5 }

/** What is open by nature is open inside a known envelope. */
export function typeOf(event: Answer<'event_get'>): string {
  return event.routing.event_type
}

/** An answer without content has no fields. */
export const done: Answer<'sensor_isolate'> = {}

/** Codes of errors are known words. */
export function isMissing(error: Schemas['Error']): boolean {
  // @ts-expect-error there is no such code
  if (error.error_code === 'gone') return false
  return error.error_code === 'not_found'
}

/** Isolation as wanted and as reported. */
export function isSettled(isolation: Answer<'sensor_isolation_get'>): boolean {
  // @ts-expect-error there is no such field
  const other = isolation.is_isolating
  return other === undefined && isolation.is_isolated === isolation.should_isolate
}
