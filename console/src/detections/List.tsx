import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { useTopic } from '../live/useLive.ts'
import { CopyAs } from '../look/CopyAs.tsx'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { quoted } from '../look/quoted.ts'
import { Reading } from '../look/Reading.tsx'
import { localTime } from '../look/time.ts'
import { counted } from '../look/words.ts'
import { Course } from './Course.tsx'
import { DetectionPanel } from './DetectionPanel.tsx'
import { DetectionTable } from './DetectionTable.tsx'
import { GroupTable } from './GroupTable.tsx'
import { GROUPINGS, type Grouping, grouped, isAmong } from './which.ts'

/** Detections that are read at once, and that are shown at most. */
const SHOWN_MAX = 1_000
const SPANS = { '1h': 3_600, '1d': 86_400, '1w': 604_800, '30d': 2_592_000 }
const NAMES = { '1h': 'last hour', '1d': 'last day', '1w': 'last week', '30d': 'last 30 days' }
export type Span = keyof typeof SPANS

const idOf = (row: Row) => String(row.detect_id)

/** What rules detected, newest first, as it happens. */
export function Detections() {
  const { oid, org, may } = useOrganization()
  const search = useSearch({ from: '/$org/detections' })
  const { cat = '', since = '1d', id, by, rule, from, until } = search
  const navigate = useNavigate()
  const isAllowed = oid !== '' && may('insight.det.get')
  const asked = () => {
    const end = until ?? Math.ceil(Date.now() / 1000) + 60
    return { start: from ?? end - SPANS[since], end, limit: SHOWN_MAX, is_forward: false, cat }
  }
  const kept = useQuery({
    queryKey: ['detections', oid, since, cat, from, until],
    queryFn: ({ signal }) => call<{ detects: Row[] }>('GET', `/v1/insight/${oid}/detections`, asked(), signal),
    enabled: isAllowed,
  })
  const [news, setNews] = useState<Row[]>([])
  useTopic('detections', isAllowed ? { oid } : undefined, {
    rows: (rows) => setNews((old) => [...(rows as Row[]).reverse(), ...old].slice(0, SHOWN_MAX)),
    gap: () => void kept.refetch(),
  })
  const change = (changed: Partial<typeof search>, replace = false) =>
    void navigate({ to: '/$org/detections', params: { org }, search: { ...search, ...changed }, replace })
  const read = kept.data?.detects ?? []
  const known = new Set(read.map(idOf))
  const all = [...news.filter((row) => !known.has(idOf(row))), ...read].filter((row) => isAmong(row, search)).slice(0, SHOWN_MAX)
  const isNarrowed = Boolean(cat || rule || from !== undefined)
  const widen = { cat: undefined, rule: undefined, from: undefined, until: undefined }
  const counts = new Map(cat ? [[cat, 0]] : [])
  for (const row of all) counts.set(String(row.cat), (counts.get(String(row.cat)) ?? 0) + 1)
  return (
    <>
      <Head title="Detections">
        <select aria-label="Kind of detection" value={cat} onChange={(event) => change({ cat: event.target.value || undefined })}>
          <option value="">every kind</option>
          {[...counts].sort().map(([one, count]) => (
            <option key={one} value={one}>
              {one} ({count.toLocaleString('en')})
            </option>
          ))}
        </select>
        <select
          aria-label="Since when"
          value={from === undefined ? since : 'chosen'}
          onChange={(event) => change({ since: event.target.value as Span, from: undefined, until: undefined })}
        >
          {from !== undefined && <option value="chosen">the time chosen in the chart</option>}
          {Object.entries(NAMES).map(([span, name]) => (
            <option key={span} value={span}>
              {name}
            </option>
          ))}
        </select>
        <select
          aria-label="Grouped"
          value={by ?? ''}
          onChange={(event) => change({ by: (event.target.value || undefined) as Grouping | undefined })}
        >
          <option value="">each by itself</option>
          {Object.entries(GROUPINGS).map(([grouping, name]) => (
            <option key={grouping} value={grouping}>
              {name}
            </option>
          ))}
        </select>
        <CopyAs
          cli={() => `muster detections --since ${since}${cat ? ` --category ${quoted(cat)}` : ''}`}
          path={`/v1/insight/${oid}/detections`}
          fields={asked}
        />
        <span role="status" className="soft">
          {kept.data &&
            (read.length === SHOWN_MAX
              ? `of the newest ${counted(SHOWN_MAX, 'detection')}; narrow the filter`
              : counted(all.length, 'detection'))}
        </span>
        {rule && (
          <button type="button" onClick={() => change({ rule: undefined })}>
            Only of {rule} <span aria-hidden="true">✕</span>
          </button>
        )}
        {from !== undefined && (
          <button type="button" onClick={() => change({ from: undefined, until: undefined })}>
            Only {localTime(from * 1_000)} to {localTime((until ?? from) * 1_000)} <span aria-hidden="true">✕</span>
          </button>
        )}
      </Head>
      <div className="page">
        {!may('insight.det.get') && <Forbidden permission="insight.det.get" />}
        <Reading of={kept} what="Detections" />
        {kept.data && !all.length && (
          <Empty title={isNarrowed ? 'No detection matches the filter.' : 'No detections in this time.'}>
            {isNarrowed ? (
              <button type="button" onClick={() => change(widen)}>
                Clear
              </button>
            ) : (
              <p>Rules whose response is “report” make them. New ones appear here as they come.</p>
            )}
          </Empty>
        )}
        {all.length > 0 && <Course rows={all} last={SPANS[since]} which={search} choose={(from, until) => change({ from, until })} />}
        {all.length > 0 && by && (
          <GroupTable
            by={by}
            groups={grouped(all, by)}
            choose={(name) => change({ by: undefined, ...(by === 'rule' ? { rule: name } : { cat: name }) })}
          />
        )}
        {all.length > 0 && !by && <DetectionTable rows={all} open={(row) => change({ id: idOf(row) })} />}
      </div>
      {id && <DetectionPanel id={id} onClose={() => change({ id: undefined }, true)} />}
    </>
  )
}
