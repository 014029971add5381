import { expect, test } from 'vitest'
import { apart } from './unitTests.ts'

test('tests are taken out of a rule, each with what is expected of it', () => {
  const event = { event: {} }
  const { bare, tests } = apart({ detect: 1, tests: { match: [[event], 'none'], non_match: [[event, event]] } })
  expect(bare).toEqual({ detect: 1 })
  expect(tests).toEqual([
    { name: 'match 1', isMatch: true, events: [event] },
    { name: 'non_match 1', isMatch: false, events: [event, event] },
  ])
  for (const none of [undefined, 'text', [], { detect: 1 }, { tests: null }]) expect(apart(none).tests).toEqual([])
})
