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

/** The bins that lie between two instants, in whatever order these come: whole ones, from where to where, in whole seconds. */
export function wholeBins({ starts }: Bins, one: number, other: number): [from: number, to: number] {
  const [first = 0, second = first + 1] = starts
  const width = second - first
  const place = (instant: number) => Math.min(Math.max(Math.floor((instant - first) / width), 0), starts.length - 1)
  const [from, to] = [place(Math.min(one, other)), place(Math.max(one, other))]
  return [Math.floor(first + from * width), Math.ceil(first + (to + 1) * width)]
}

/** The last `bins` whole bins of so many seconds, the present one included. */
export function lastBins(instants: readonly number[], now: number, width: number, bins: number): Bins {
  const end = (Math.floor(now / width) + 1) * width
  return binned(instants, end - bins * width, end, bins)
}
