import { expect, test } from 'vitest'
import { SAVED_MAX, type Saved, withSaved } from './saved.ts'

test('saved selectors stand by name, one for each name, and not without end', () => {
  const two = withSaved(withSaved([], { name: 'web', selector: 'a' }), { name: 'db', selector: 'b' })
  expect(two.map(({ name }) => name)).toEqual(['db', 'web'])
  expect(withSaved(two, { name: 'web', selector: 'c' }).find(({ name }) => name === 'web')?.selector).toBe('c')
  let all: Saved[] = []
  for (let at = 0; at < SAVED_MAX + 5; at++) all = withSaved(all, { name: `n${at}`, selector: '' })
  expect(all.length).toBe(SAVED_MAX)
})
