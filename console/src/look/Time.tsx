import { fromNow, localTime } from './time.ts'

/** An instant: local time, with UTC in its title; beside it how long ago, if asked for. */
export function Time({ ms, ago = false }: { ms: number | null | undefined; ago?: boolean }) {
  if (!ms) return <span className="soft">–</span>
  const iso = new Date(ms).toISOString()
  return (
    <time dateTime={iso} title={iso}>
      {localTime(ms)}
      {ago && <span className="soft"> ({fromNow(ms)})</span>}
    </time>
  )
}
