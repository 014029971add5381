// What changed between two texts, by lines.

export interface Line {
  kind: 'same' | 'added' | 'removed'
  text: string
}
/** Beyond so many lines of either text, the difference is told as a whole: comparing takes their product. */
const LINES_MAX = 2_000
/** Lines shown around a change. */
const AROUND = 2

/** The lines of both texts in order; unchanged ones far from a change are left out, as `null`. */
export function difference(before: string, after: string): (Line | null)[] {
  const [a, b] = [before.trimEnd().split('\n'), after.trimEnd().split('\n')]
  if (a.length > LINES_MAX || b.length > LINES_MAX)
    return [...a.map((text): Line => ({ kind: 'removed', text })), ...b.map((text): Line => ({ kind: 'added', text }))]
  return shortened(compared(a, b))
}

function compared(a: string[], b: string[]): Line[] {
  // Length of the longest common sequence of what follows each pair of places.
  const width = b.length + 1
  const common = new Uint16Array((a.length + 1) * width)
  const at = (i: number, j: number) => common[i * width + j] ?? 0
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
  const lines: Line[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: 'same', text: a[i] ?? '' })
      i++
      j++
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) lines.push({ kind: 'removed', text: a[i++] ?? '' })
    else lines.push({ kind: 'added', text: b[j++] ?? '' })
  }
  return lines
}

function shortened(lines: Line[]): (Line | null)[] {
  const isNear = (at: number) => lines.slice(Math.max(0, at - AROUND), at + AROUND + 1).some((line) => line.kind !== 'same')
  const short: (Line | null)[] = []
  lines.forEach((line, at) => {
    if (isNear(at)) short.push(line)
    else if (short.at(-1) !== null) short.push(null)
  })
  return short
}
