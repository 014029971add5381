// The text editor. It lives in a shadow root: there CodeMirror adopts constructed style sheets, which the page's policy allows.

import { autocompletion, type CompletionContext, closeBrackets, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language'
import { linter, lintGutter, lintKeymap } from '@codemirror/lint'
import { EditorState } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import type { Problem } from './yaml.ts'

/** A text that stands still for this long is checked. */
const CHECK_AFTER_MS = 300

const theme = EditorView.theme({
  '&': { minHeight: '320px', fontSize: '13px', backgroundColor: 'var(--field)', color: 'var(--text)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-scroller': { minHeight: '320px' },
  '.cm-content': { fontFamily: 'var(--mono)', caretColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--text-soft)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--hover)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--select)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line-strong)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--select)', color: 'var(--text)' },
  '.cm-lintRange-error': { backgroundImage: 'none', borderBottom: '2px solid var(--bad)' },
})
const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--accent)' },
  { tag: tags.string, color: 'var(--ok)' },
  { tag: [tags.number, tags.bool], color: 'var(--warn)' },
  { tag: tags.comment, color: 'var(--text-soft)', fontStyle: 'italic' },
])

export interface EditorOptions {
  label: string
  /** What is wrong with a text; asked when it stands still. */
  check: (text: string) => Promise<Problem[]>
  changed: (text: string) => void
  /** Values that may follow a key, by the key. */
  words: Record<string, string[]>
}

function completion(words: Record<string, string[]>) {
  return (context: CompletionContext) => {
    const line = context.matchBefore(/^[\s-]*\w+: *[\w ]*/)
    const told = line && /^[\s-]*(\w+): *([\w ]*)$/.exec(line.text)
    const options = told && words[told[1] ?? '']
    if (!line || !options) return null
    return { from: line.to - (told?.[2] ?? '').length, options: options.map((label) => ({ label, type: 'keyword' })) }
  }
}

/** Opens an editor in a host element; gives the view, which must be destroyed. */
export function openEditor(host: HTMLElement, text: string, { label, check, changed, words }: EditorOptions) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' })
  const problems = linter(
    async (view) => {
      const found = await check(view.state.doc.toString())
      const end = view.state.doc.length
      return found.map(({ from, to, message }) => ({
        from: Math.min(from, end),
        to: Math.min(Math.max(to, from), end),
        severity: 'error' as const,
        message,
      }))
    },
    { delay: CHECK_AFTER_MS },
  )
  const extensions = [
    lineNumbers(),
    history(),
    drawSelection(),
    indentOnInput(),
    indentUnit.of('  '),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    yaml(),
    syntaxHighlighting(colours),
    autocompletion({ override: [completion(words)] }),
    problems,
    lintGutter(),
    keymap.of([...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) changed(update.state.doc.toString())
    }),
    // Tab leaves the editor, as it leaves any field.
    EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
    EditorView.lineWrapping,
    theme,
  ]
  return new EditorView({ parent: root, root, state: EditorState.create({ doc: text, extensions }) })
}
