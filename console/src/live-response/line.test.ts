import { expect, test } from 'vitest'
import { HELP, wishOf } from './line.ts'

const wish = (line: string) => wishOf(line, '/var/log', '/')

test('lines are understood, with paths from the folder that one is in', () => {
  expect(wish('ls')).toEqual({ do: 'ls', path: '/var/log' })
  expect(wish('  cd  .. ')).toEqual({ do: 'cd', path: '/var' })
  expect(wish('get "a file"')).toEqual({ do: 'get', path: '/var/log/a file' })
  expect(wish('run ls -la | x')).toEqual({ do: 'run', line: 'ls -la | x' })
  expect(wish('kill 12')).toEqual({ do: 'order', name: 'kill', fields: { pid: 12 } })
  expect(wishOf('reg get HKLM\\A\\b c', 'C:\\', '\\')).toEqual({ do: 'order', name: 'reg query value', fields: { path: 'HKLM\\A\\b c' } })
  expect(wish('   ')).toEqual({ do: 'nothing' })
})

test('a line that is not understood says what to write instead', () => {
  expect(wish('whoami /all')).toMatchObject({ do: 'mistake', text: expect.stringContaining('run whoami /all') })
  expect(wish('cd')).toEqual({ do: 'mistake', text: 'cd needs PATH' })
  expect(wish('kill nobody')).toMatchObject({ do: 'mistake' })
  expect(wish('constructor')).toMatchObject({ do: 'mistake' })
  expect(HELP).toContain('kill PID')
})
