import { counted } from '../look/words.ts'
import { ROLES } from './roles.ts'

/** What each role may, before it is given: more than the role below it. */
export function Roles({ roles }: { roles: Record<string, string[]> }) {
  const more = ROLES.map((role, at) => {
    const below = new Set(roles[ROLES[at + 1] ?? ''] ?? [])
    return { role, below: ROLES[at + 1], all: roles[role] ?? [], own: (roles[role] ?? []).filter((one) => !below.has(one)) }
  })
  return (
    <details>
      <summary>What each role may</summary>
      <dl className="facts">
        {more.map(({ role, below, all, own }) => (
          <div key={role}>
            <dt>{role}</dt>
            <dd>
              {counted(all.length, 'permission')}: {below && `all of ${below}, and `}
              <code>{own.join(' ')}</code>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  )
}
