import { useQuery } from '@tanstack/react-query'
import { writeYaml } from '../editor/yaml.ts'
import type { RuleRecord } from './kinds.ts'

interface Props {
  read: () => Promise<RuleRecord>
  /** Goes on from the text of the other. */
  keep: (theirs: RuleRecord) => void
  /** Forgets one's own text. */
  giveUp: () => void
}

/** Somebody else stored the rule meanwhile: what they wrote, and how to go on. Nothing typed is lost. */
export function Overtaken({ read, keep, giveUp }: Props) {
  const theirs = useQuery({ queryKey: ['overtaken'], queryFn: read, gcTime: 0, staleTime: 0 })
  return (
    <div className="note warn-note" role="alert">
      <p>
        <strong>{theirs.data?.sys_mtd.last_author ?? 'Somebody'} changed it meanwhile.</strong> Your text is still above; theirs is:
      </p>
      {theirs.data && (
        <>
          <pre className="code" tabIndex={0}>
            {writeYaml(theirs.data.data)}
          </pre>
          <div className="line">
            <button type="button" onClick={() => keep(theirs.data)}>
              Go on with mine in place of theirs
            </button>
            <button type="button" onClick={giveUp}>
              Take theirs, and give mine up
            </button>
          </div>
        </>
      )}
    </div>
  )
}
