/** Counts of instants in bins of equal width, from `start` to `end`; all in seconds. */
export interface Bins {
  starts: number[]
  counts: number[]
}

export function binned(instants: readonly number[], start: number, end: number, bins: number): Bins {
  const width = (end - start) / bins
  const counts = new Array<number>(bins).fill(0)
  for (const instant of instants) {
    const at = Math.floor((instant - start) / width)
    if (at >= 0 && at < bins) counts[at] = (counts[at] ?? 0) + 1
  }
  return { starts: counts.map((_, at) => start + at * width), counts }
}

/** The last `bins` whole bins of so many seconds, the present one included. */
export function lastBins(instants: readonly number[], now: number, width: number, bins: number): Bins {
  const end = (Math.floor(now / width) + 1) * width
  return binned(instants, end - bins * width, end, bins)
}
