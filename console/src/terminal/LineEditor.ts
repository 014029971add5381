// One line that is being typed, with the lines before it. It knows no terminal: it is told keys and says what to draw.

/** Lines that the arrow up brings back. */
const KEPT_MAX = 200

export interface Line {
  text: string
  /** Where the cursor stands: letters before it. */
  at: number
}

/** What a key did: a line to carry out, an interruption, or something to draw. */
export type Typed = { enter: string } | 'interrupt' | 'clear' | 'draw' | 'nothing'

export class LineEditor {
  private letters: string[] = []
  private at = 0
  private readonly kept: string[] = []
  private keptAt = 0

  get line(): Line {
    return { text: this.letters.join(''), at: this.at }
  }

  /** Takes what a terminal gives for a key, or for a text that is pasted. */
  type(data: string): Typed {
    const step = STEPS[data]
    if (step) return step(this)
    if (data === '\r' || data === '\n') return this.enter()
    // Whatever else begins like this is a key without a meaning here, or an answer of the terminal.
    if (data.startsWith('\x1b')) return 'nothing'
    // Of several lines that are pasted, none is carried out before one has seen it.
    const letters = Array.from(data.replace(/[\r\n]+/g, ' ')).filter((letter) => letter >= ' ' && letter !== '\x7f')
    this.letters.splice(this.at, 0, ...letters)
    this.at += letters.length
    return letters.length ? 'draw' : 'nothing'
  }

  private enter(): Typed {
    const text = this.line.text
    if (text.trim() && text !== this.kept.at(-1)) this.kept.push(text)
    if (this.kept.length > KEPT_MAX) this.kept.shift()
    this.keptAt = this.kept.length
    this.put('')
    return { enter: text }
  }

  put(text: string): Typed {
    this.letters = Array.from(text)
    this.at = this.letters.length
    return 'draw'
  }

  erase(from: number, to: number): Typed {
    const [first, last] = [Math.max(0, from), Math.min(to, this.letters.length)]
    this.letters.splice(first, last - first)
    this.at = first
    return 'draw'
  }

  move(by: number): Typed {
    this.at = Math.max(0, Math.min(this.letters.length, this.at + by))
    return 'draw'
  }

  recall(by: number): Typed {
    this.keptAt = Math.max(0, Math.min(this.kept.length, this.keptAt + by))
    return this.put(this.kept[this.keptAt] ?? '')
  }
}

const STEPS: Record<string, (editor: LineEditor) => Typed> = {
  '\x7f': (editor) => editor.erase(editor.line.at - 1, editor.line.at),
  '\x1b[3~': (editor) => editor.erase(editor.line.at, editor.line.at + 1),
  '\x1b[D': (editor) => editor.move(-1),
  '\x1b[C': (editor) => editor.move(1),
  '\x1b[H': (editor) => editor.move(-Infinity),
  '\x01': (editor) => editor.move(-Infinity),
  '\x1b[F': (editor) => editor.move(Infinity),
  '\x05': (editor) => editor.move(Infinity),
  '\x1b[A': (editor) => editor.recall(-1),
  '\x1b[B': (editor) => editor.recall(1),
  '\x15': (editor) => editor.erase(0, editor.line.at),
  '\x0c': () => 'clear',
  '\x03': () => 'interrupt',
}

/** The part of a line that fits into so many columns, and where the cursor stands in it. */
export function fitting({ text, at }: Line, columns: number): Line {
  const letters = Array.from(text)
  const room = Math.max(1, columns - 1)
  const from = Math.max(0, at - room)
  return { text: letters.slice(from, from + room).join(''), at: at - from }
}
