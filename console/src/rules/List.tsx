import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { TextFilter } from '../look/TextFilter.tsx'
import { counted } from '../look/words.ts'
import { type Kind, RULES, type RuleRecord } from './kinds.ts'
import { type Detected, RuleTable } from './RuleTable.tsx'

const DAY_S = 86_400
/** Detections that are counted: the newest. */
const COUNTED_MAX = 1_000

function byRule(rows: Row[]): Detected {
  const counts = new Map<string, number>()
  for (const { source_rule } of rows) if (typeof source_rule === 'string') counts.set(source_rule, (counts.get(source_rule) ?? 0) + 1)
  return { counts, of: rows.length < COUNTED_MAX ? 'last day' : `of the newest ${COUNTED_MAX.toLocaleString('en')}` }
}

/** Rules of a kind, by name. */
export function RuleList({ kind }: { kind: Kind }) {
  const { oid, org, may } = useOrganization()
  const { find = '' } = useSearch({ strict: false }) as { find?: string }
  const navigate = useNavigate()
  const records = useQuery({
    queryKey: ['hive', oid, kind.hive],
    queryFn: ({ signal }) => call<Record<string, RuleRecord>>('GET', `/v1/hive/${kind.hive}/${oid}`, {}, signal),
    enabled: oid !== '' && may(kind.see),
  })
  const detected = useQuery({
    queryKey: ['detected', oid],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const asked = { start: end - DAY_S, end, limit: COUNTED_MAX, is_forward: false }
      return call<{ detects: Row[] }>('GET', `/v1/insight/${oid}/detections`, asked, signal).then((answer) => byRule(answer.detects))
    },
    enabled: oid !== '' && kind === RULES && may('insight.det.get'),
  })
  const change = useMutation({
    mutationFn: ({ name, record }: { name: string; record: RuleRecord }) => {
      const usr_mtd = JSON.stringify({ ...record.usr_mtd, enabled: !record.usr_mtd.enabled })
      return call('POST', `/v1/hive/${kind.hive}/${oid}/${encodeURIComponent(name)}/mtd`, { usr_mtd, etag: record.sys_mtd.etag })
    },
    onSuccess: (_, { name, record }) =>
      notify(`${name} is ${record.usr_mtd.enabled ? 'in force no more' : 'in force'}.`, {
        text: 'Take it back',
        act: () => void records.refetch().then(({ data }) => data?.[name] && change.mutate({ name, record: data[name] })),
      }),
    onSettled: () => void records.refetch(),
    onError: (error) => complain('The rule was not changed', error),
  })
  const all = Object.entries(records.data ?? {}).sort(([a], [b]) => a.localeCompare(b))
  const needle = find.toLowerCase()
  const shown = all.filter(([name, record]) => `${name} ${JSON.stringify(record.data)}`.toLowerCase().includes(needle))
  const filter = (text: string) =>
    void navigate({ to: `/$org/${kind.path}`, params: { org }, search: { find: text || undefined }, replace: true })
  const create = (
    <Link className="button prime" to={`/$org/${kind.path}/edit`} params={{ org }}>
      New {kind.one}
    </Link>
  )
  return (
    <>
      <Head title={kind.title}>
        <TextFilter label="Filter by name and content" text={find} change={filter} />
        <span role="status" className="soft">
          {records.data ? counted(shown.length, 'rule') : ''}
        </span>
        {may(kind.set) && create}
      </Head>
      <div className="page">
        {!may(kind.see) && <Forbidden permission={kind.see} />}
        <Reading of={records} what="Rules" />
        {records.data && !all.length && (
          <Empty title={kind === RULES ? 'No rules yet.' : 'No false-positive rules yet.'}>
            <p>{kind.about}</p>
            {may(kind.set) && create}
            <code>{kind.line}</code>
          </Empty>
        )}
        {all.length > 0 && !shown.length && (
          <Empty title="No rule matches the filter.">
            <button type="button" onClick={() => filter('')}>
              Clear
            </button>
          </Empty>
        )}
        {shown.length > 0 && (
          <RuleTable
            kind={kind}
            org={org}
            rules={shown}
            detected={detected.data}
            toggle={may(kind.set) ? (name, record) => change.mutate({ name, record }) : undefined}
          />
        )}
      </div>
    </>
  )
}
