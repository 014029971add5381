// Lines that a person types in a live session, and what they ask for.

import { resolved } from './path.ts'

/** What a line asks for. */
export type Wish =
  | { do: 'nothing' | 'help' | 'clear' | 'exit' | 'pwd' }
  | { do: 'mistake'; text: string }
  /** Shows what is in a folder, or one entry. */
  | { do: 'ls'; path: string }
  | { do: 'cd'; path: string }
  | { do: 'get'; path: string }
  /** Starts a program, waits for it, and shows what it wrote. */
  | { do: 'run'; line: string }
  /** One order of Live Response as it is. */
  | { do: 'order'; name: string; fields: Record<string, unknown> }

interface Verb {
  takes: string
  about: string
  wish: (rest: string, at: (path: string) => string) => Wish
}
const order = (name: string, fields: Record<string, unknown> = {}): Wish => ({ do: 'order', name, fields })
const whole = (text: string) => text.replace(/^(["'])(.*)\1$/, '$2')

export const VERBS: Record<string, Verb> = {
  ls: { takes: '[PATH]', about: 'what is in a folder; * and ? match', wish: (rest, at) => ({ do: 'ls', path: at(rest || '.') }) },
  cd: { takes: 'PATH', about: 'go to a folder', wish: (rest, at) => ({ do: 'cd', path: at(rest) }) },
  pwd: { takes: '', about: 'which folder this is', wish: () => ({ do: 'pwd' }) },
  run: { takes: 'PROGRAM …', about: 'run a program, wait for it, and show what it wrote', wish: (rest) => ({ do: 'run', line: rest }) },
  start: {
    takes: 'PROGRAM …',
    about: 'start a program and do not wait',
    wish: (rest) => order('create process', { path: rest, wait: false }),
  },
  ps: { takes: '', about: 'processes', wish: () => order('process list') },
  kill: {
    takes: 'PID',
    about: 'end a process',
    wish: (rest) =>
      /^\d+$/.test(rest)
        ? order('kill', { pid: Number(rest) })
        : { do: 'mistake', text: 'kill takes the number of a process; ps lists them' },
  },
  get: { takes: 'PATH', about: 'bring a file here, as a download', wish: (rest, at) => ({ do: 'get', path: at(rest) }) },
  mkdir: { takes: 'PATH', about: 'make a folder', wish: (rest, at) => order('create directory', { path: at(rest) }) },
  rm: { takes: 'PATH', about: 'delete a file or an empty folder', wish: (rest, at) => order('delete file', { path: at(rest) }) },
  reg: {
    takes: 'ls|get|mk|rm|unset KEY',
    about: 'look at and change the registry of Windows',
    wish: (rest) => {
      const [verb = '', ...words] = rest.split(/\s+/)
      const name = { ls: 'reg enum key', get: 'reg query value', mk: 'reg create key', rm: 'reg delete key', unset: 'reg delete value' }[
        verb
      ]
      if (!name || !words.length) return { do: 'mistake', text: 'reg takes ls, get, mk, rm or unset, and a key' }
      return order(name, { path: whole(words.join(' ')) })
    },
  },
  memdump: {
    takes: 'PATH',
    about: 'write an image of the memory to a file there',
    wish: (rest, at) => order('memdump', { path: at(rest), compress: true }),
  },
  clear: { takes: '', about: 'forget what is on the screen', wish: () => ({ do: 'clear' }) },
  exit: { takes: '', about: 'close the session, for everybody in it', wish: () => ({ do: 'exit' }) },
  help: { takes: '', about: 'these words', wish: () => ({ do: 'help' }) },
}

/** Reads a line that was typed in a folder. */
export function wishOf(line: string, folder: string, separator: string): Wish {
  const [, word = '', rest = ''] = /^\s*(\S*)\s*(.*?)\s*$/.exec(line) ?? []
  if (!word) return { do: 'nothing' }
  const verb = Object.hasOwn(VERBS, word) ? VERBS[word] : undefined
  if (!verb)
    return { do: 'mistake', text: `${word}: not a word of live sessions. To run a program: run ${line.trim()}. help lists what there is.` }
  if (!rest && /^[A-Z]/.test(verb.takes)) return { do: 'mistake', text: `${word} needs ${verb.takes}` }
  return verb.wish(rest, (path) => resolved(folder, whole(path), separator))
}

/** What `help` says. */
export const HELP = Object.entries(VERBS)
  .map(([word, { takes, about }]) => `  ${`${word} ${takes}`.padEnd(28)} ${about}`)
  .join('\n')
