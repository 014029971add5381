import { Link } from '@tanstack/react-router'
import { Time } from '../look/Time.tsx'
import type { Kind, RuleRecord } from './kinds.ts'

/** Detections by the rule that made them. */
export interface Detected {
  counts: ReadonlyMap<string, number>
  /** Of which they are: there may be more than are counted. */
  of: string
}
interface Props {
  kind: Kind
  org: string
  rules: [string, RuleRecord][]
  /** Where rules make some. */
  detected: Detected | undefined
  /** Switches a rule on or off; absent for whoever may not. */
  toggle: ((name: string, record: RuleRecord) => void) | undefined
}

/** Rules with whether they are in force. */
export function RuleTable({ kind, org, rules, detected, toggle }: Props) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={kind.title}>
      <table>
        <thead>
          <tr>
            <th>Name</th>
            <th>In force</th>
            {detected && <th className="number">Detections, {detected.of}</th>}
            <th className="wide">Changed</th>
            <th className="wide">By</th>
          </tr>
        </thead>
        <tbody>
          {rules.map(([name, record]) => (
            <tr key={name}>
              <td>
                <Link to={`/$org/${kind.path}/edit`} params={{ org }} search={{ name }}>
                  {name}
                </Link>
                {record.sys_mtd.last_error && <p className="bad">{record.sys_mtd.last_error}</p>}
              </td>
              <td>
                <input
                  type="checkbox"
                  aria-label={`${name} is in force`}
                  checked={record.usr_mtd.enabled}
                  disabled={!toggle}
                  onChange={() => toggle?.(name, record)}
                />
              </td>
              {detected && <td className="number">{(detected.counts.get(`general.${name}`) ?? 0).toLocaleString('en')}</td>}
              <td className="wide">
                <Time ms={record.sys_mtd.last_mod} ago />
              </td>
              <td className="wide">{record.sys_mtd.last_author || record.sys_mtd.created_by}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
