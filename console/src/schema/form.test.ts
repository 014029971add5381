import { expect, test } from 'vitest'
import { inputOf, missing, readValue, sorted } from './form.ts'

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

test('requirements are an and of ors, said in words', () => {
  const schema = { fields: { sid: { data_type: 'sid', label: 'Sensor' } }, requirements: [['sid', 'tag'], ['task']] }
  expect(missing(schema, {})).toEqual(['One of Sensor, tag is needed.', 'task is needed.'])
  expect(missing(schema, { tag: 'x', task: 'y' })).toEqual([])
})
