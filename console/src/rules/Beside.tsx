import { Link, useSearch } from '@tanstack/react-router'
import { useOrganization } from '../api/session.ts'
import { History } from './History.tsx'
import { type Kind, RULES } from './kinds.ts'
import { Trial } from './Trial.tsx'
import { UnitTests } from './UnitTests.tsx'

const TABS = { trial: 'Try it', tests: 'Unit tests', history: 'History' } as const
type Tab = keyof typeof TABS

interface Props {
  kind: Kind
  /** Absent for one that is not stored yet. */
  name: string | undefined
  /** As it is written now. */
  text: string
}

/** What stands beside a rule that is being written: trials, its own tests, and who changed it. */
export default function Beside({ kind, name, text }: Props) {
  const { org } = useOrganization()
  const search = useSearch({ strict: false }) as { tab?: Tab }
  const tabs: Tab[] = [...(kind === RULES ? (['trial', 'tests'] as const) : []), ...(name === undefined ? [] : (['history'] as const))]
  const chosen = tabs.find((tab) => tab === search.tab) ?? tabs[0]
  if (!chosen) return null
  return (
    <section className="panel">
      <nav className="tabs" aria-label="Beside the rule">
        {tabs.map((tab) => (
          <Link
            key={tab}
            to={`/$org/${kind.path}/edit`}
            params={{ org }}
            search={{ ...search, tab }}
            replace
            resetScroll={false}
            aria-current={tab === chosen ? 'page' : undefined}
          >
            {TABS[tab]}
          </Link>
        ))}
      </nav>
      {chosen === 'trial' && <Trial text={text} />}
      {chosen === 'tests' && <UnitTests text={text} />}
      {chosen === 'history' && name !== undefined && <History kind={kind} name={name} />}
    </section>
  )
}
