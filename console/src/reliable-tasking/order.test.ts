import { expect, test } from 'vitest'
import type { Target } from '../api/types.ts'
import { asCommandLine, asCsv, asCurl, sentence } from './order.ts'

test('lines for a shell keep quotes apart', () => {
  const order = { task: `run --shell-command "it's"`, selector: '"prod" in tags', ttl: 3600 }
  expect(asCommandLine(order)).toBe(`muster reliable-task create 'run --shell-command "it'\\''s"' --selector '"prod" in tags' --ttl 3600s`)
  expect(asCurl(order, 'http://h', 'o')).toContain(`it'\\''s`)
})

test('hostile host names stay in their cell and are no formula', () => {
  const target = { sid: 's', hostname: '=HYPERLINK("http://evil")\n,x', state: 'finished', ended: 0 } as Target
  const [, row] = asCsv([target]).split('\ns,')
  expect(row?.startsWith(`"'=HYPERLINK(""http://evil"")\n,x",finished`)).toBe(true)
})

test('the sentence says who is off and until when', () => {
  expect(sentence({ task: 'os_version', selector: '*', ttl: 1, perSecond: 50 }, 3, 1, 'tomorrow')).toBe(
    'Runs “os_version” on 3 sensors (2 of them offline now: each runs it when it is back), until tomorrow; at most 50 a second.',
  )
})
