// What was typed into a form by a schema, and what is wrong with it.

import {
  type Element,
  entriesOf,
  inputOf,
  itemsOf,
  itemsPath,
  keyPath,
  labelOf,
  type ObjectSchema,
  partsOf,
  pathOf,
  readValue,
  sorted,
  valuesOf,
} from './form.ts'

/** What keeps a form from being taken, and the field that it is about, if it is about one. */
export interface Wrong {
  path?: string
  text: string
}

type Typed = (path: string) => string

/** What is still missing, in words; nothing if all is there. */
export function missing(schema: ObjectSchema, data: Record<string, unknown>, within = ''): Wrong[] {
  const wanted = (schema.requirements ?? []).filter((names) => names.length && !names.some((name) => name in data))
  return wanted.map((names) => {
    const labels = names.map((name) => labelOf(name, schema.fields?.[name]))
    const [name = ''] = names
    return labels.length === 1
      ? { path: pathOf(within, name), text: `${labels[0]} is needed.` }
      : { text: `One of ${labels.join(', ')} is needed.` }
  })
}

/**
 * What was typed, as the data to send, and what keeps it from being sent. Of `stored` values those stay that the form does
 * not show: secrets that were not written anew, and what the schema does not know any more.
 */
export function dataOf(schema: ObjectSchema, typed: Typed, stored: Record<string, unknown> = {}) {
  const { data, unread, lacks } = read(schema, typed, stored, '')
  return { data, wrong: unread.length ? unread : lacks }
}

interface Read<T> {
  data: T
  unread: Wrong[]
  lacks: Wrong[]
}

function read(schema: ObjectSchema, typed: Typed, stored: Record<string, unknown>, within: string): Read<Record<string, unknown>> {
  const data: Record<string, unknown> = { ...stored }
  const [unread, lacks]: [Wrong[], Wrong[]] = [[], []]
  for (const [name, element] of sorted(schema)) {
    const path = pathOf(within, name)
    const whole = readWhole(element, typed, stored[name] ?? element.default_value, path)
    if (whole) {
      unread.push(...whole.unread)
      delete data[name]
      // An object of which nothing is given lacks nothing: it is not given itself.
      if (!Object.keys(whole.data).length) continue
      data[name] = whole.data
      lacks.push(...whole.lacks)
      continue
    }
    try {
      const value = readValue(element, typed(path))
      if (value !== undefined) data[name] = value
      else if (inputOf(element) === 'check' && (stored[name] ?? element.default_value)) data[name] = false
      else if (inputOf(element) !== 'secret') delete data[name]
    } catch (error) {
      unread.push({ path, text: `${labelOf(name, element)} is no JSON: ${(error as Error).message}` })
    }
  }
  return { data, unread, lacks: [...missing(schema, data, within), ...lacks] }
}

/** What is asked for part by part: an object, a list of them, or a record. */
function readWhole(element: Element, typed: Typed, stored: unknown, path: string): Read<object> | undefined {
  const parts = partsOf(element)
  if (parts) return read(parts, typed, valuesOf(stored), path)
  const items = itemsOf(element)
  if (!items) return undefined
  const kept = entriesOf(stored)
  const [unread, lacks]: [Wrong[], Wrong[]] = [[], []]
  const entries = placesIn(typed(itemsPath(path))).map((place): [string, unknown] => {
    const item = pathOf(path, String(place))
    const inner = read(items.parts, typed, valuesOf(kept[place]?.[1]), item)
    unread.push(...inner.unread)
    lacks.push(...inner.lacks)
    return [typed(keyPath(item)).trim(), inner.data]
  })
  if (!items.isKeyed) return { data: entries.map(([, value]) => value), unread, lacks }
  const keys = entries.map(([key]) => key)
  if (keys.includes('')) lacks.push({ path, text: 'Each needs a key.' })
  const twice = keys.find((key, at) => keys.indexOf(key) !== at)
  if (twice) lacks.push({ path, text: `${twice} is there twice.` })
  return { data: Object.fromEntries(entries), unread, lacks }
}

/** Which items there are, by the places that they had at first. */
const placesIn = (typed: string) => typed.split(',').filter(Boolean).map(Number)

/** The server and the programs that it asks name a field in what they refuse. */
export function wrongOf(schema: ObjectSchema, message: string): Wrong | undefined {
  const name = /\binvalid value for ([^\s:]+):/.exec(message)?.[1]
  return name !== undefined && schema.fields?.[name] ? { path: name, text: message } : undefined
}
