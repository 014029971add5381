import { expect, test } from 'vitest'
import { STATES, type Task } from '../api/types.ts'
import { doneOf, failedOf, goneOf, openOf } from './counts.ts'

test('every state is counted once, so that the parts add up to the targets', () => {
  const counts = Object.fromEntries(STATES.map((state, at) => [state, 10 ** Math.min(at, 9) + at])) as Task['counts']
  const task = { counts } as Task
  const all = STATES.reduce((sum, state) => sum + counts[state], 0)
  expect(openOf(task) + doneOf(task) + failedOf(task) + goneOf(task)).toBe(all)
})
