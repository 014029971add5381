// A terminal for lines of a person and what comes of them: xterm, under the page's policy.

import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import '@xterm/xterm/css/xterm.css'
import { visible } from '../look/visible.ts'
import { fitting, LineEditor } from './LineEditor.ts'

/** Lines that can be scrolled back to. */
const SCROLLBACK = 5_000
/**
 * The dark set of the page's colours, each with contrast enough: what xterm corrects by itself becomes a style
 * attribute, which the page's policy forbids.
 */
const COLOURS = { background: '#0f1216', foreground: '#e6e9ee', brightBlack: '#a3adba', brightRed: '#ff9a90', brightGreen: '#6bd08d' }
const LOOKS = { soft: '\x1b[90m', bad: '\x1b[91m', plain: '' } as const

/**
 * xterm makes style elements when it opens, which the page's policy forbids. For that moment the document hands out
 * elements that put what is written into them into style sheets of the page instead.
 */
function withAdoptedStyles(open: () => void) {
  const make = document.createElement.bind(document)
  const stand = (tag: string, options?: ElementCreationOptions) => (tag === 'style' ? adopted(make('span')) : make(tag, options))
  document.createElement = stand as typeof document.createElement
  try {
    open()
  } finally {
    Reflect.deleteProperty(document, 'createElement')
  }
}

function adopted(element: HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet()
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  element.hidden = true
  Object.defineProperty(element, 'textContent', { set: (text: string) => sheet.replaceSync(text), get: () => '' })
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet)
    Element.prototype.remove.call(element)
  }
  return element
}

export interface Acts {
  /** A line was entered. */
  enter: (line: string) => void
  /** Ctrl-C. */
  interrupt: () => void
  /** F6: the focus goes on. */
  leave: () => void
}

export interface Prompted {
  /** Writes lines of text; control characters in it are seen, and do nothing. */
  write: (text: string, look?: keyof typeof LOOKS) => void
  /** Asks for a line. What was typed meanwhile, or before, stands in it. */
  ask: (prompt: string) => void
  focus: () => void
  close: () => void
}

/** Opens a terminal in an element. Nothing is asked for yet. */
export function openTerminal(host: HTMLElement, label: string, acts: Acts): Prompted {
  const terminal = new Terminal({
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'),
    fontSize: 13,
    screenReaderMode: true,
    scrollback: SCROLLBACK,
    theme: COLOURS,
  })
  const fit = new FitAddon()
  terminal.loadAddon(fit)
  withAdoptedStyles(() => terminal.open(host))
  terminal.textarea?.setAttribute('aria-label', label)
  fit.fit()
  const editor = new LineEditor()
  let prompt: string | undefined
  const draw = () => {
    if (prompt === undefined) return
    const shown = fitting(editor.line, terminal.cols - prompt.length)
    const back = Array.from(shown.text).length - shown.at
    terminal.write(`\r\x1b[2K\x1b[92m${prompt}\x1b[0m${visible(shown.text)}${back ? `\x1b[${back}D` : ''}`)
  }
  const size = new ResizeObserver(() => {
    fit.fit()
    draw()
  })
  size.observe(host)
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.key !== 'F6') return true
    if (event.type === 'keydown') acts.leave()
    event.preventDefault()
    return false
  })
  terminal.onData((data) => {
    // While something runs, the next line can be typed, and is not carried out.
    if (prompt === undefined && (data === '\r' || data === '\n')) return
    const typed = editor.type(data)
    if (typed === 'interrupt') return acts.interrupt()
    if (typed === 'clear') terminal.clear()
    if (typeof typed === 'object') {
      prompt = undefined
      terminal.write('\r\n')
      return acts.enter(typed.enter)
    }
    draw()
  })
  return {
    write: (text, look = 'plain') => {
      const lines = visible(text.replace(/\r\n/g, '\n').replace(/\n$/, '')).replaceAll('\n', '\r\n')
      terminal.write(`${prompt === undefined ? '' : '\r\x1b[2K'}${LOOKS[look]}${lines}\x1b[0m\r\n`)
      draw()
    },
    ask: (asked) => {
      prompt = visible(asked).replaceAll('\n', '␊')
      draw()
    },
    focus: () => terminal.focus(),
    close: () => {
      size.disconnect()
      terminal.dispose()
    },
  }
}
