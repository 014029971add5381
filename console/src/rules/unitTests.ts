// The unit tests that a rule carries, as they are written in it.

export interface UnitTest {
  /** As people count them: `match 1`. */
  name: string
  /** One of its events must match; of a test that is none, no event may. */
  isMatch: boolean
  events: unknown[]
}

/** The rule without its tests, and they; nothing of what is no test. */
export function apart(rule: unknown): { bare: unknown; tests: UnitTest[] } {
  if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) return { bare: rule, tests: [] }
  const { tests, ...bare } = rule as Record<string, unknown>
  const written = (typeof tests === 'object' && tests !== null ? tests : {}) as Record<string, unknown>
  const of = (key: 'match' | 'non_match') =>
    (Array.isArray(written[key]) ? written[key] : []).flatMap((events, at) =>
      Array.isArray(events) ? [{ name: `${key} ${at + 1}`, isMatch: key === 'match', events }] : [],
    )
  return { bare, tests: [...of('match'), ...of('non_match')] }
}
