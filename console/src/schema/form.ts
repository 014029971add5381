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
}
export interface ObjectSchema {
  fields?: Record<string, Element> | null
  /** Of each inner list, one at least must be given. */
  requirements?: string[][] | null
}

/** Fields in the order that the schema wants; those without one come last. */
export const sorted = (schema: ObjectSchema): [string, Element][] =>
  Object.entries(schema.fields ?? {}).sort(([, a], [, b]) => (a.display_index || Infinity) - (b.display_index || Infinity))

export const labelOf = (name: string, element: Element | undefined) => element?.label || name

/** Written as JSON, since there is no better field for it. */
const isJson = (element: Element) => /^(json|object|record|yaml)$/.test(element.data_type) || element.data_type === ''
const NUMBERS = new Set(['integer', 'duration', 'time'])

/** How a field is asked for. */
export function inputOf(element: Element): 'check' | 'choice' | 'number' | 'secret' | 'lines' | 'json' | 'text' {
  if (element.is_list) return isJson(element) ? 'json' : 'lines'
  if (element.data_type === 'bool') return 'check'
  if (element.enum_values?.length) return 'choice'
  if (NUMBERS.has(element.data_type)) return 'number'
  if (element.data_type === 'secret') return 'secret'
  if (element.data_type === 'text' || element.data_type === 'code') return 'lines'
  return isJson(element) ? 'json' : 'text'
}

/** The value of a field as it was typed; undefined if it was left empty. */
export function readValue(element: Element, typed: string): unknown {
  const input = inputOf(element)
  if (input === 'check') return typed === 'on' ? true : undefined
  if (!typed.trim()) return undefined
  if (input === 'number') return Number(typed)
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

/** What was typed, as the data to send, and what keeps it from being sent. */
export function dataOf(schema: ObjectSchema, typed: (name: string) => string) {
  const data: Record<string, unknown> = {}
  for (const [name, element] of sorted(schema)) {
    try {
      const value = readValue(element, typed(name))
      if (value !== undefined) data[name] = value
    } catch (error) {
      return { data, wrong: [`${labelOf(name, element)} is no JSON: ${(error as Error).message}`] }
    }
  }
  return { data, wrong: missing(schema, data) }
}
