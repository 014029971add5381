// Selectors that a user keeps by a name. The browser keeps them, those of each organization apart.

export interface Saved {
  name: string
  selector: string
}
/** More are no help to somebody who looks for one. */
export const SAVED_MAX = 50
const keyOf = (oid: string) => `muster-selectors-${oid}`

const isSaved = (one: Partial<Saved> | null): one is Saved => typeof one?.name === 'string' && typeof one.selector === 'string'

/** Those of an organization, by name. What cannot be read is as if nothing was kept. */
export function savedOf(oid: string): Saved[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(keyOf(oid)) ?? '[]')
    return Array.isArray(kept) ? kept.filter(isSaved) : []
  } catch {
    return []
  }
}

/** Also this one, in place of one of the same name. */
export const withSaved = (all: readonly Saved[], one: Saved): Saved[] =>
  [...all.filter(({ name }) => name !== one.name), one].sort((a, b) => a.name.localeCompare(b.name)).slice(0, SAVED_MAX)

export const keep = (oid: string, all: readonly Saved[]) => localStorage.setItem(keyOf(oid), JSON.stringify(all))
