import { expect, test } from 'vitest'
import { visible } from './visible.ts'

test('escape sequences are seen, and lines stay lines', () => {
  expect(visible('a\n\tb\u001b]8;;http://evil\u0007c\u007f')).toBe('a\n\tb␛]8;;http://evil␇c␡')
})
