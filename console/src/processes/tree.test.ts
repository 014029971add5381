import { expect, test } from 'vitest'
import { matching, placed, treeOf } from './tree.ts'

const begun = (id: string, parent: string, line: string, at: number) => ({
  routing: { this: id, parent, event_time: at },
  event: { COMMAND_LINE: line, FILE_PATH: `/bin/${line}`, PROCESS_ID: at },
})
const rows = [begun('a', 'x', 'init', 1), begun('b', 'a', 'sh', 2), begun('c', 'b', 'id', 3), begun('d', 'a', 'cron', 4)]

test('children stand below their parents, the newest first, and a closed one hides what is below', () => {
  const tops = treeOf(rows, [{ routing: { parent: 'c', event_time: 9 } }])
  expect(placed(tops, new Set()).map(({ process, level }) => `${level} ${process.line}`)).toEqual(['1 init', '2 cron', '2 sh', '3 id'])
  expect(placed(tops, new Set(['b'])).map(({ process }) => process.line)).toEqual(['init', 'cron', 'sh'])
  expect(placed(tops, new Set()).at(-1)?.process.ended).toBe(9)
})

test('a search keeps the way from the top', () => {
  const found = matching(treeOf(rows, []), 'id')
  expect(placed(found, new Set()).map(({ process }) => process.line)).toEqual(['init', 'sh', 'id'])
})

test('atoms in a loop are shown, and hold nothing up', () => {
  const tops = treeOf([begun('a', 'b', 'one', 1), begun('b', 'a', 'two', 2), begun('c', 'c', 'three', 3)], [])
  expect(placed(tops, new Set()).map(({ process }) => process.line)).toEqual(['three'])
})
