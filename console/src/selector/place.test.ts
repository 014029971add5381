import { expect, test } from 'vitest'
import { completed, placeOf, suggestions } from './place.ts'

test('the place of a mistake is the column of the message, or the word that it names', () => {
  expect(placeOf('plat == 1password', 'invalid selector: 1:9 (8): invalid number literal')).toBe(8)
  expect(placeOf('os == linux', 'invalid selector: unknown field "os"; did you mean "plat"?')).toBe(0)
  expect(placeOf('x', 'something else')).toBeUndefined()
})

test('the last word is completed, and tags that need quotes get them', () => {
  expect(suggestions('plat == lin', [])).toContain('linux')
  expect(suggestions('"web-t', ['web-tier'])).toEqual(['"web-tier"'])
  expect(suggestions('plat == linux ', ['a'])).toEqual([])
  expect(completed('plat == lin', 'linux')).toBe('plat == linux')
})
