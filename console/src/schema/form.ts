// Forms by the schema that an extension describes itself with.

export interface Element {
  data_type: string
  label?: string | null
  description?: string | null
  placeholder?: string | null
  is_list?: boolean | null
  display_index?: number | null
  default_value?: unknown
  enum_values?: unknown[] | null
  complex_enum_values?: { value: unknown; label?: string | null }[] | null
  /** Of an object: what it is made of. */
  object?: ObjectSchema | null
}
export interface ObjectSchema {
  fields?: Record<string, Element> | null
  /** Of each inner list, one at least must be given. */
  requirements?: string[][] | null
}

/** Fields in the order that the schema wants; those without one come last. */
export const sorted = (schema: ObjectSchema): [string, Element][] =>
  Object.entries(schema.fields ?? {}).sort(([, a], [, b]) => (a.display_index || Infinity) - (b.display_index || Infinity))

/** What an object is made of, where each part can be asked for by itself. */
export const partsOf = (element: Element): ObjectSchema | undefined =>
  element.data_type === 'object' && !element.is_list && sorted(element.object ?? {}).length ? (element.object ?? undefined) : undefined

/** How the field of a part is called in the form of the whole. */
export const pathOf = (of: string, part: string) => `${of}/${part}`

/** The values of an object; none of what is not one. */
export const valuesOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

export const labelOf = (name: string, element: Element | undefined) => element?.label || name

/** Written as JSON, since there is no better field for it. */
const isJson = (element: Element) => /^(object|record)$/.test(element.data_type)
const NUMBERS = new Set(['integer', 'duration', 'time'])
/** Texts of several lines; what language they are in is the extension's business. */
const LINES = new Set(['text', 'code', 'json', 'yaml', 'yara_rule'])
const PLATFORMS = ['windows', 'linux', 'macos', 'ios', 'android', 'chrome']
const ARCHITECTURES = ['x86', 'x64', 'arm', 'arm64']

/** What may be chosen, if the field lists it. */
export function choicesOf(element: Element): { value: string; label: string }[] {
  const plain = (values: readonly unknown[]) => values.map((value) => ({ value: String(value), label: String(value) }))
  if (element.complex_enum_values?.length)
    return element.complex_enum_values.map(({ value, label }) => ({ value: String(value), label: label || String(value) }))
  if (element.enum_values?.length) return plain(element.enum_values)
  return plain({ platform: PLATFORMS, architecture: ARCHITECTURES }[element.data_type] ?? [])
}

/** How a field is asked for. */
export function inputOf(element: Element): 'check' | 'choice' | 'number' | 'secret' | 'time' | 'lines' | 'json' | 'text' {
  if (element.is_list) return isJson(element) ? 'json' : 'lines'
  if (element.data_type === 'bool') return 'check'
  if (choicesOf(element).length) return 'choice'
  if (element.data_type === 'time') return 'time'
  if (NUMBERS.has(element.data_type)) return 'number'
  if (element.data_type === 'secret') return 'secret'
  if (LINES.has(element.data_type)) return 'lines'
  return isJson(element) ? 'json' : 'text'
}

const two = (number: number) => String(number).padStart(2, '0')
/** Local time, as a field for it wants to be given it. */
const ofField = (at: Date) =>
  `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`

/** A value, or the default, as the field shows it. A secret is not shown. */
export function written(element: Element, value: unknown): string {
  const shown = value ?? element.default_value ?? ''
  const input = inputOf(element)
  if (shown === '' || input === 'secret') return ''
  if (input === 'time') return ofField(new Date(Number(shown)))
  if (input === 'json') return JSON.stringify(shown, null, 2)
  if (Array.isArray(shown)) return shown.join('\n')
  return typeof shown === 'object' ? JSON.stringify(shown) : String(shown)
}

/** The value of a field as it was typed; undefined if it was left empty. */
export function readValue(element: Element, typed: string): unknown {
  const input = inputOf(element)
  if (input === 'check') return typed === 'on' ? true : undefined
  if (!typed.trim()) return undefined
  if (input === 'number') return Number(typed)
  if (input === 'time') return new Date(typed).getTime()
  if (input === 'json') return JSON.parse(typed)
  if (element.is_list) {
    const parts = typed.split('\n').flatMap((line) => line.trim() || [])
    return NUMBERS.has(element.data_type) ? parts.map(Number) : parts
  }
  return typed
}

/** What is still missing, in words; nothing if all is there. */
export function missing(schema: ObjectSchema, data: Record<string, unknown>): string[] {
  const wanted = (schema.requirements ?? []).filter((names) => names.length && !names.some((name) => name in data))
  return wanted.map((names) => {
    const labels = names.map((name) => labelOf(name, schema.fields?.[name]))
    return labels.length === 1 ? `${labels[0]} is needed.` : `One of ${labels.join(', ')} is needed.`
  })
}

/**
 * What was typed, as the data to send, and what keeps it from being sent. Of `stored` values those stay that the form does
 * not show: secrets that were not written anew, and what the schema does not know any more.
 */
export function dataOf(schema: ObjectSchema, typed: (path: string) => string, stored: Record<string, unknown> = {}) {
  const { data, unread, lacks } = read(schema, typed, stored)
  return { data, wrong: unread.length ? unread : lacks }
}

function read(schema: ObjectSchema, typed: (path: string) => string, stored: Record<string, unknown>) {
  const data: Record<string, unknown> = { ...stored }
  const [unread, lacks]: [string[], string[]] = [[], []]
  for (const [name, element] of sorted(schema)) {
    const parts = partsOf(element)
    if (parts) {
      const inner = read(parts, (part) => typed(pathOf(name, part)), valuesOf(stored[name] ?? element.default_value))
      unread.push(...inner.unread)
      delete data[name]
      // An object of which nothing is given lacks nothing: it is not given itself.
      if (!Object.keys(inner.data).length) continue
      data[name] = inner.data
      lacks.push(...inner.lacks)
      continue
    }
    try {
      const value = readValue(element, typed(name))
      if (value !== undefined) data[name] = value
      else if (inputOf(element) === 'check' && (stored[name] ?? element.default_value)) data[name] = false
      else if (inputOf(element) !== 'secret') delete data[name]
    } catch (error) {
      unread.push(`${labelOf(name, element)} is no JSON: ${(error as Error).message}`)
    }
  }
  return { data, unread, lacks: [...missing(schema, data), ...lacks] }
}
