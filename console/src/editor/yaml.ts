// YAML as people write it, JSON as the server keeps it, and where in the text something stands.

import { type Document, isMap, isSeq, LineCounter, type Node, parseDocument, stringify } from 'yaml'

export interface Problem {
  /** Places in the text, from 0; the end is not part of it. */
  from: number
  to: number
  /** From 1, as people count. */
  line: number
  column: number
  message: string
}
export interface Written {
  /** What the text says, if it can be read. */
  value?: unknown
  problems: Problem[]
  /** The part of the text that a place such as `detect/rules/0/op` means: the part itself, or what holds it. */
  find: (place: string) => [from: number, to: number]
}

/** Anchors are expanded so many times at most: a short text must not become a large one. */
const ALIASES_MAX = 100

function rangeOf(document: Document, place: string): [number, number] {
  let node = document.contents as Node | null
  let range = node?.range
  for (const step of place.split('/')) {
    let next: Node | null = null
    if (isMap(node)) {
      const pair = node.items.find((item) => String((item.key as { value?: unknown } | null)?.value ?? item.key) === step)
      const key = pair?.key as Node | undefined
      if (!pair || !key) break
      next = pair.value as Node | null
      range = isMap(next) || isSeq(next) || !next ? key.range : next.range
    } else if (isSeq(node)) {
      next = (node.items[Number(step)] as Node | undefined) ?? null
      if (!next) break
      const first = isMap(next) ? (next.items[0]?.key as Node | undefined) : undefined
      range = first?.range ?? next.range
    } else break
    node = next
  }
  return range ? [range[0], range[1]] : [0, 0]
}

/** Reads a text; what is wrong with it as YAML stands in `problems`. */
export function readYaml(text: string): Written {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const find = (place: string) => rangeOf(document, place)
  const problems = [...document.errors, ...document.warnings].map((error) =>
    problemAt(text, error.pos[0], Math.max(error.pos[1], error.pos[0] + 1), error.message),
  )
  if (problems.length) return { problems, find }
  try {
    return { value: document.toJS({ maxAliasCount: ALIASES_MAX }), problems: [], find }
  } catch (error) {
    return { problems: [problemAt(text, 0, 1, (error as Error).message)], find }
  }
}

/** A problem with the line and column of its place. */
export function problemAt(text: string, from: number, to: number, message: string): Problem {
  const before = text.slice(0, from)
  const line = before.split('\n').length
  return { from, to: Math.min(to, text.length), line, column: from - before.lastIndexOf('\n'), message }
}

/** The server names a place in front of what is wrong: `invalid rule: detect/rules/0/op: unknown operator`. */
export function problemOfServer(text: string, find: Written['find'], message: string): Problem {
  const told = /^invalid rule: (?:([\w$-]+(?:\/[^:\s]*)?): )?([\s\S]*)$/.exec(message)
  const [from, to] = told?.[1] ? find(told[1]) : [0, 0]
  return problemAt(text, from, Math.max(to, from + 1), told?.[2] ?? message)
}

export const writeYaml = (value: unknown) => stringify(value, { lineWidth: 0 })
