// What was written and not stored yet, kept by the tab until it is: a page that is left, or lost, gives it back.

const keyOf = (oid: string, hive: string, name: string) => `muster-draft ${oid} ${hive} ${name}`

export interface Draft {
  text: string
  /** When it was written last, in milliseconds. */
  at: number
}

export function draftOf(oid: string, hive: string, name: string): Draft | undefined {
  try {
    const { text, at } = JSON.parse(sessionStorage.getItem(keyOf(oid, hive, name)) ?? 'null') ?? {}
    return typeof text === 'string' && typeof at === 'number' ? { text, at } : undefined
  } catch {
    return undefined
  }
}

export function keepDraft(oid: string, hive: string, name: string, text: string) {
  try {
    sessionStorage.setItem(keyOf(oid, hive, name), JSON.stringify({ text, at: Date.now() } satisfies Draft))
  } catch {
    // A tab that is full keeps no drafts.
  }
}

export const dropDraft = (oid: string, hive: string, name: string) => sessionStorage.removeItem(keyOf(oid, hive, name))
