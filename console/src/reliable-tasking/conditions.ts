// What a machine checks just before it runs a task: here, its local time.

export interface Conditions {
  window?: { start_min: number; end_min: number; weekdays?: number | undefined } | null | undefined
  payload_sha256?: string | null | undefined
}

export const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const minutes = (text: string) => {
  const [, hours, rest] = /^(\d\d):(\d\d)/.exec(text) ?? []
  return hours === undefined ? undefined : Number(hours) * 60 + Number(rest)
}

/** Conditions of a window of local time: both ends as `22:00`, days by their number from Monday; no day is every day. */
export function conditionsOf(from: string, to: string, days: readonly number[]): Conditions | undefined {
  const [start_min, end_min] = [minutes(from), minutes(to)]
  if (start_min === undefined || end_min === undefined) return undefined
  return { window: { start_min, end_min, weekdays: days.reduce((bits, day) => bits | (1 << day), 0) } }
}

const clock = (min: number) => `${String(Math.floor(min / 60)).padStart(2, '0')}:${String(min % 60).padStart(2, '0')}`
const daysOf = (weekdays = 0) => DAYS.filter((_, day) => weekdays & (1 << day))

/** In words. */
export function conditionWords({ window, payload_sha256: payload }: Conditions): string {
  const withPayload = payload ? `with the payload ${payload}` : ''
  if (!window) return withPayload
  const days = daysOf(window.weekdays)
  return `${withPayload}${payload ? ', ' : ''}between ${clock(window.start_min)} and ${clock(window.end_min)} of its local time${days.length ? ` on ${days.join(', ')}` : ''}`
}

/** The same as options of the command line. */
export function conditionOptions({ window }: Conditions): string {
  if (!window) return ''
  const days = daysOf(window.weekdays)
  return `--window ${clock(window.start_min)}-${clock(window.end_min)}${days.length ? ` --weekdays ${days.join(',').toLowerCase()}` : ''}`
}
