/** Where a selector is wrong, as the server's sentence tells: column from 0, or nothing. */
export function placeOf(text: string, message: string): number | undefined {
  const told = /(?:invalid selector: )?(\d+):(\d+) \(\d+\)/.exec(message)
  if (told) return Number(told[2]) - 1
  // Mistakes of meaning name the word instead.
  const word = /"((?:[^"\\]|\\.)*)"/.exec(message)?.[1]
  const at = word ? text.indexOf(word) : -1
  return at < 0 ? undefined : at
}

export const FIELDS = [
  'plat',
  'arch',
  'hostname',
  'tags',
  'sid',
  'ext_ip',
  'int_ip',
  'isolated',
  'should_isolate',
  'sealed',
  'kernel',
  'did',
  'iid',
  'enroll',
  'alive',
  'mac_addr',
] as const
export const OPERATORS = ['==', '!=', 'in', 'not in', 'contains', 'matches', 'and', 'or', 'not'] as const

/** What could be written next: fields, operators, tags and platforms that begin as the last word does. */
export function suggestions(text: string, tags: string[]): string[] {
  const word = /[\w.`'"-]*$/.exec(text)?.[0] ?? ''
  if (!word) return []
  const bare = word.replace(/^["'`]/, '').toLowerCase()
  const all = [
    ...FIELDS,
    ...OPERATORS,
    'linux',
    'windows',
    'macos',
    'x64',
    'arm64',
    ...tags.map((tag) => (/^\w+$/.test(tag) ? tag : `"${tag}"`)),
  ]
  return all.filter((one) => one.replace(/^"/, '').toLowerCase().startsWith(bare) && one !== word).slice(0, 8)
}

/** The text with its last word replaced. */
export const completed = (text: string, chosen: string) => text.replace(/[\w.`'"-]*$/, chosen)
