import { expect, test } from 'vitest'
import { difference } from './difference.ts'

test('changed lines stand together with what is around them, the rest is left out', () => {
  const before = Array.from({ length: 20 }, (_, at) => `line ${at}`)
  const after = before.with(10, 'other').toSpliced(3, 1)
  const told = difference(before.join('\n'), after.join('\n')).map((line) => line && `${line.kind} ${line.text}`)
  expect(told).toEqual([
    null,
    'same line 1',
    'same line 2',
    'removed line 3',
    'same line 4',
    'same line 5',
    null,
    'same line 8',
    'same line 9',
    'removed line 10',
    'added other',
    'same line 11',
    'same line 12',
    null,
  ])
})

test('equal texts have no difference', () => {
  expect(difference('a\nb', 'a\nb\n')).toEqual([null])
})
