import { ListTable } from '../look/ListTable.tsx'
import { Time } from '../look/Time.tsx'
import type { Group, Grouping } from './which.ts'

const NAMES = { kind: 'Kind', rule: 'Rule' }

/** Groups of detections, each a way to its own. */
export function GroupTable({ by, groups, choose }: { by: Grouping; groups: Group[]; choose: (name: string) => void }) {
  return (
    <ListTable
      label={`Detections by ${by}`}
      heads={[
        { name: NAMES[by] },
        { name: 'Detections', isNumber: true },
        { name: 'Hosts', isNumber: true },
        { name: 'Newest', isWide: true },
      ]}
      rows={groups.map(({ name, count, hosts, newest }) => ({
        key: name,
        cells: [
          name ? (
            <button key="name" type="button" className="plain link" onClick={() => choose(name)}>
              {name}
            </button>
          ) : (
            'no rule of this organization'
          ),
          count.toLocaleString('en'),
          hosts.toLocaleString('en'),
          <Time key="newest" ms={newest} />,
        ],
      }))}
    />
  )
}
