import { expect, test } from 'vitest'
import { dataOf } from '../schema/data.ts'
import { formOf, WHOLE } from './params.ts'

test('what a service declares of its requests is a form, and values keep their types', () => {
  const form = formOf({
    sid: { type: 'sid', desc: 'which sensor', is_required: true, index: 1 },
    depth: { type: 'int', desc: 'how deep' },
    how: { type: 'enum', values: ['fast', 'slow'] },
    again: { type: 'bool' },
  })
  const typed: Record<string, string> = { depth: '7', how: 'slow', again: 'on' }
  const { data, wrong } = dataOf(form, (name) => typed[name] ?? '')
  expect(data).toEqual({ depth: 7, how: 'slow', again: true })
  expect(wrong).toEqual([{ path: 'sid', text: 'sid is needed.' }])
})

test('a service that declares nothing is asked for whatever one writes', () => {
  const { data, wrong } = dataOf(formOf({}), () => '{"a": 1}')
  expect(data[WHOLE]).toEqual({ a: 1 })
  expect(wrong).toEqual([])
})
