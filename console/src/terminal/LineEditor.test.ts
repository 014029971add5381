import { expect, test } from 'vitest'
import { fitting, LineEditor } from './LineEditor.ts'

function typed(...keys: string[]) {
  const editor = new LineEditor()
  const said = keys.map((key) => editor.type(key))
  return { editor, said }
}

test('a line is typed, mended and carried out, and the one before comes back', () => {
  const { editor, said } = typed('l', 's', 'x', '\x7f', '\x1b[D', '\x1b[D', 'e', '\x1b[F', ' /etc', '\r')
  expect(said.at(-1)).toEqual({ enter: 'els /etc' })
  expect(editor.line).toEqual({ text: '', at: 0 })
  editor.type('\x1b[A')
  expect(editor.line.text).toBe('els /etc')
  editor.type('\x1b[B')
  expect(editor.line.text).toBe('')
})

test('what is pasted is not carried out by its line ends, and no key or answer of a terminal becomes text', () => {
  const { editor } = typed('one\r\ntwo\r', '\x1b[6n', '\x1b]52;c;x\x07', '\x1b[?1;2c', '\x07')
  expect(editor.line.text).toBe('one two ')
})

test('a line that is too long is shown around the cursor', () => {
  expect(fitting({ text: 'abcdef', at: 6 }, 4)).toEqual({ text: 'def', at: 3 })
  expect(fitting({ text: 'abcdef', at: 0 }, 4)).toEqual({ text: 'abc', at: 0 })
  expect(fitting({ text: 'ab', at: 1 }, 80)).toEqual({ text: 'ab', at: 1 })
})
