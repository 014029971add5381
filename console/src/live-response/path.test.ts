import { expect, test } from 'vitest'
import { baseOf, inside, promptOf, resolved, separatorOf, stepsTo } from './path.ts'

test('paths of both kinds are resolved from a folder, and never above the root', () => {
  expect(resolved('/var/log', '../lib/./x', '/')).toBe('/var/lib/x')
  expect(resolved('/var', '/etc', '/')).toBe('/etc')
  expect(resolved('/', '../..', '/')).toBe('/')
  expect(resolved('C:\\Windows\\System32', '..\\Temp', '\\')).toBe('C:\\Windows\\Temp')
  expect(resolved('C:\\Windows', '..\\..\\..', '\\')).toBe('C:\\')
  expect(resolved('C:\\', 'D:/data', '\\')).toBe('D:\\data')
})

test('the steps to a folder lead back', () => {
  expect(stepsTo('/var/log', '/').map((step) => step.path)).toEqual(['/', '/var', '/var/log'])
  expect(stepsTo('C:\\Windows', '\\').map((step) => step.path)).toEqual(['C:\\', 'C:\\Windows'])
  expect([inside('/', '/'), inside('/etc', '/'), baseOf('C:\\a\\b.txt'), separatorOf(['C:\\']), separatorOf(null)]).toEqual([
    '/',
    '/etc/',
    'b.txt',
    '\\',
    '/',
  ])
})

test('a prompt leaves room for a line', () => {
  expect(promptOf('web-1', '/var/log')).toBe('web-1:log> ')
  expect(promptOf('web-1', '/')).toBe('web-1:/> ')
  expect(promptOf('web-1', `/${'x'.repeat(200)}`)).toHaveLength(34)
})
