import { expect, test } from 'vitest'
import { hexDump, shownOf } from './attachment.ts'

test('bytes are dumped with their offset and letters', () => {
  expect(hexDump(new TextEncoder().encode('<script>alert(1)\n'))).toBe(
    `00000000  3c 73 63 72 69 70 74 3e 61 6c 65 72 74 28 31 29  |<script>alert(1)|\n00000010  0a${' '.repeat(45)}  |.|`,
  )
  expect(hexDump(new Uint8Array(20_000)).split('\n').at(-1)).toBe('… 3616 bytes more')
})

test('every kind of evidence is shown, and what is not as it should be is shown as it is', () => {
  expect(shownOf({ att_type: 'table', headers: ['a', 'b'], rows: [[1, { c: 2 }], ['x']] })).toEqual({
    heads: ['a', 'b'],
    rows: [
      ['1', '{\n  "c": 2\n}'],
      ['x', ''],
    ],
  })
  expect(shownOf({ att_type: 'yaml', data: 'a: 1\n' })).toEqual({ text: 'a: 1\n' })
  expect(shownOf({ att_type: 'hex_dump', data: 'not base64!' })).toEqual({ text: 'not base64!' })
  expect(shownOf({ att_type: 'graph', nodes: [1] })).toEqual({ text: '{\n  "nodes": [\n    1\n  ]\n}' })
})
