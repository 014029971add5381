// Paths of endpoints, of either kind of system.

/** Whether a machine writes paths as Windows does, by its drives. */
export const separatorOf = (drives: readonly string[] | null | undefined) =>
  drives?.some((drive) => /^[A-Za-z]:/.test(drive)) ? '\\' : '/'

const isWhole = (path: string, separator: string) => (separator === '/' ? path.startsWith('/') : /^([A-Za-z]:|\\\\|\/\/)/.test(path))

/** A path as seen from a folder, without `.` and `..`. */
export function resolved(folder: string, path: string, separator: string): string {
  const whole = isWhole(path, separator) ? path : `${folder}${separator}${path}`
  const parts: string[] = []
  for (const part of whole.split(separator === '/' ? '/' : /[\\/]/)) {
    if (part === '..') parts.splice(separator === '/' ? 0 : 1, 0, ...parts.splice(separator === '/' ? 0 : 1).slice(0, -1))
    else if (part && part !== '.') parts.push(part)
  }
  if (separator === '/') return `/${parts.join('/')}`
  return parts.length === 1 ? `${parts[0]}\\` : parts.join('\\')
}

/** The folder with its separator at the end: so its content is asked for. */
export const inside = (folder: string, separator: string) => (folder.endsWith(separator) ? folder : `${folder}${separator}`)

/** Last part of a path. */
export const baseOf = (path: string) => path.split(/[\\/]/).filter(Boolean).at(-1) ?? path

/** The steps to a folder, each with the path up to it. */
export function stepsTo(folder: string, separator: string): { name: string; path: string }[] {
  const parts = folder.split(separator).filter(Boolean)
  const root = separator === '/' ? [{ name: '/', path: '/' }] : []
  return [
    ...root,
    ...parts.map((name, at) => ({
      name,
      path: resolved('', `${separator === '/' ? '/' : ''}${parts.slice(0, at + 1).join(separator)}`, separator),
    })),
  ]
}

/** Letters of a prompt: there is to be room for a line beside it. */
const PROMPT_MAX = 32

/** Where a line is typed: the machine, and the last part of its folder. */
export function promptOf(host: string, folder: string): string {
  const letters = Array.from(`${host}:${baseOf(folder)}`)
  return `${letters.length > PROMPT_MAX ? `${letters.slice(0, PROMPT_MAX - 1).join('')}…` : letters.join('')}> `
}
