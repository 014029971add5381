const format = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric',
  month: 'short',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
})
/** Local time, 24 h; empty for none. */
export const localTime = (ms: number | null | undefined) => (ms ? format.format(ms) : '')

/** The server writes `YYYY-MM-DD HH:MM:SS` in UTC. */
export const ofServer = (text: string) => (text ? Date.parse(`${text.replace(' ', 'T')}Z`) : 0)

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' })
/** “3 hours ago”, “in 2 days”. */
export function fromNow(ms: number, now = Date.now()) {
  const span = ms - now
  const [unit, size] = STEPS.find(([, size]) => Math.abs(span) >= size) ?? ['second', 1_000]
  return relative.format(Math.round(span / size), unit)
}

/** “6 h”, “2 d 4 h”: a span in seconds. */
export function spanOf(seconds: number) {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'min'],
    [Math.floor(seconds % 60), 's'],
  ]
  const shown = parts.filter(([count]) => count > 0).slice(0, 2)
  return shown.map(([count, unit]) => `${count} ${unit}`).join(' ') || '0 s'
}
