import { expect, test } from 'vitest'
import { toFind } from './begin.ts'

test('a rule begins with what tells most of an event', () => {
  const row = {
    routing: { event_type: 'NEW_PROCESS' },
    event: { A: 'x', PROCESS_ID: 4, COMMAND_LINE: 'id -u', FILE_PATH: '/bin/id', B: 'y' },
  }
  expect(toFind(row).detect).toEqual({
    event: 'NEW_PROCESS',
    op: 'and',
    rules: [
      { op: 'is', path: 'event/FILE_PATH', value: '/bin/id' },
      { op: 'is', path: 'event/COMMAND_LINE', value: 'id -u' },
      { op: 'is', path: 'event/A', value: 'x' },
    ],
  })
  expect(toFind({ routing: { event_type: 'CONNECTED' }, event: {} }).detect).toEqual({ event: 'CONNECTED', op: 'exists', path: 'event' })
})
