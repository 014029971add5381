import { expect, test } from 'vitest'
import { dataOf, missing, wrongOf } from './data.ts'
import { choicesOf, inputOf, readValue, sorted, written } from './form.ts'

test('fields stand in their order, and missing keys and nulls mean the same', () => {
  const schema = {
    fields: {
      last: { data_type: 'string', display_index: 0 },
      second: { data_type: 'string', display_index: 2, enum_values: null },
      first: { data_type: 'string', display_index: 1 },
    },
  }
  expect(sorted(schema).map(([name]) => name)).toEqual(['first', 'second', 'last'])
  expect(sorted({ fields: null, requirements: null })).toEqual([])
})

test('values have the type of their field, and an unknown type is text', () => {
  expect(readValue({ data_type: 'integer' }, '7')).toBe(7)
  expect(readValue({ data_type: 'bool' }, 'on')).toBe(true)
  expect(readValue({ data_type: 'string', is_list: true }, ' a \n\nb')).toEqual(['a', 'b'])
  expect(readValue({ data_type: 'object' }, '{"a": 1}')).toEqual({ a: 1 })
  expect(() => readValue({ data_type: 'object' }, '{a}')).toThrow()
  expect(readValue({ data_type: 'string' }, ' ')).toBeUndefined()
  expect(inputOf({ data_type: 'of tomorrow' })).toBe('text')
})

test('an object is asked for part by part, keeps what its form does not show, and lacks nothing if it is not given', () => {
  const place = { fields: { host: { data_type: 'string', label: 'Host' }, port: { data_type: 'integer' } }, requirements: [['host']] }
  const schema = { fields: { to: { data_type: 'object', object: place }, plain: { data_type: 'object', object: null } } }
  const typed = (values: Record<string, string>) => (path: string) => values[path] ?? ''
  expect(dataOf(schema, typed({ 'to/host': 'a', 'to/port': '7' }), { to: { older: 1 } })).toEqual({
    data: { to: { host: 'a', port: 7, older: 1 } },
    wrong: [],
  })
  expect(dataOf(schema, typed({ 'to/port': '7' })).wrong).toEqual([{ path: 'to/host', text: 'Host is needed.' }])
  expect(dataOf(schema, typed({ plain: '{"a": 1}' }))).toEqual({ data: { plain: { a: 1 } }, wrong: [] })
  expect(dataOf(schema, typed({ plain: '{a' })).wrong[0]?.text).toContain('plain is no JSON')
})

test('requirements are an and of ors, said in words', () => {
  const schema = { fields: { sid: { data_type: 'sid', label: 'Sensor' } }, requirements: [['sid', 'tag'], ['task']] }
  expect(missing(schema, {})).toEqual([{ text: 'One of Sensor, tag is needed.' }, { path: 'task', text: 'task is needed.' }])
  expect(missing(schema, { tag: 'x', task: 'y' })).toEqual([])
})

test('what the form does not show stays as it is stored', () => {
  const schema = {
    fields: { token: { data_type: 'secret' }, level: { data_type: 'integer' }, loud: { data_type: 'bool' }, note: { data_type: 'string' } },
  }
  const stored = { token: 'hive://secret/a', level: 3, loud: true, note: 'old', older: 1 }
  expect(written(schema.fields.token, stored.token)).toBe('')
  const typed: Record<string, string> = { level: '4' }
  const kept = dataOf(schema, (name) => typed[name] ?? '', stored)
  expect(kept).toEqual({ data: { token: 'hive://secret/a', level: 4, loud: false, older: 1 }, wrong: [] })
})

test('each type has the field that suits it, and its value goes there and back', () => {
  expect(choicesOf({ data_type: 'complex_enum', complex_enum_values: [{ value: 'a', label: 'An A' }] })).toEqual([
    { value: 'a', label: 'An A' },
  ])
  expect(inputOf({ data_type: 'platform' })).toBe('choice')
  // The server takes JSON and YAML as text.
  expect(readValue({ data_type: 'json' }, '{"a": 1}')).toBe('{"a": 1}')
  const time = { data_type: 'time' }
  expect(readValue(time, written(time, 1_700_000_000_000))).toBe(1_700_000_000_000)
  const list = { data_type: 'integer', is_list: true }
  expect(readValue(list, written(list, [1, 2]))).toEqual([1, 2])
})

test('a list of objects and a record are asked for item by item, and what is not shown of an item stays with it', () => {
  const object = { fields: { host: { data_type: 'string' }, token: { data_type: 'secret' } }, requirements: [['host']] }
  const schema = { fields: { hops: { data_type: 'object', is_list: true, object }, sites: { data_type: 'record', object } } }
  const typed = (values: Record<string, string>) => (path: string) => values[path] ?? ''
  const stored = {
    hops: [
      { host: 'a', token: 'x' },
      { host: 'b', token: 'y' },
    ],
    sites: { east: { host: 'e', token: 'z' } },
  }
  const asked = typed({
    'hops/#items': '1,2',
    'hops/1/host': 'b2',
    'hops/2/host': 'c',
    'sites/#items': '0',
    'sites/0/#key': 'west',
    'sites/0/host': 'w',
  })
  expect(dataOf(schema, asked, stored)).toEqual({
    data: { hops: [{ host: 'b2', token: 'y' }, { host: 'c' }], sites: { west: { host: 'w', token: 'z' } } },
    wrong: [],
  })
  expect(dataOf(schema, typed({})).data).toEqual({})
  const lacking = dataOf(schema, typed({ 'hops/#items': '0', 'sites/#items': '0,1', 'sites/0/host': 'a', 'sites/1/host': 'b' })).wrong
  expect(lacking[0]).toEqual({ path: 'hops/0/host', text: 'host is needed.' })
  expect(lacking.map(({ text }) => text)).toContain('Each needs a key.')
})

test('what the server refuses is about the field that it names', () => {
  const schema = { fields: { port: { data_type: 'integer' } } }
  expect(wrongOf(schema, 'greeter: invalid value for port: not a number, a text')?.path).toBe('port')
  expect(wrongOf(schema, 'invalid value for other: not a number')).toBeUndefined()
  expect(wrongOf(schema, 'out of paper')).toBeUndefined()
})
