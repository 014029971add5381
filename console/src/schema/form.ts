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
  /** Of an object or a record: what it is made of. */
  object?: ObjectSchema | null
}
export interface ObjectSchema {
  fields?: Record<string, Element> | null
  /** Of each inner list, one at least must be given. */
  requirements?: string[][] | null
  /** Of a record: how what its values are found by is called. */
  key?: { label?: string | null; name?: string | null; description?: string | null; placeholder?: string | null } | null
}

/** Fields in the order that the schema wants; those without one come last. */
export const sorted = (schema: ObjectSchema): [string, Element][] =>
  Object.entries(schema.fields ?? {}).sort(([, a], [, b]) => (a.display_index || Infinity) - (b.display_index || Infinity))

/** What an object is made of, where each part can be asked for by itself. */
export const partsOf = (element: Element): ObjectSchema | undefined =>
  element.data_type === 'object' && !element.is_list && sorted(element.object ?? {}).length ? (element.object ?? undefined) : undefined

/** Of a list of objects, or of a record, what each of them is made of; a record has a key for each. */
export function itemsOf(element: Element): { parts: ObjectSchema; isKeyed: boolean } | undefined {
  const isKeyed = element.data_type === 'record'
  const isWhole = isKeyed ? !element.is_list : element.data_type === 'object' && element.is_list
  return isWhole && element.object && sorted(element.object).length ? { parts: element.object, isKeyed } : undefined
}

/** What is stored of a list or a record, in order, with its keys. */
export const entriesOf = (value: unknown): [key: string, value: unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : []

/** How the field is called that lists which items there are, and the one that has the key of an item: no part is called so. */
export const itemsPath = (of: string) => `${of}/#items`
export const keyPath = (item: string) => `${item}/#key`

/** How the field of a part is called in the form of the whole. */
export const pathOf = (of: string, part: string) => (of ? `${of}/${part}` : part)

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
