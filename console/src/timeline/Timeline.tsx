import { useQuery } from '@tanstack/react-query'
import { useEffect, useReducer, useRef, useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { useTopic } from '../live/useLive.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Reading } from '../look/Reading.tsx'
import { TextFilter } from '../look/TextFilter.tsx'
import { Event } from './Event.tsx'
import { add, clear, emptyFeed, type Feed, type Gap, isGap, pause, resume } from './feed.ts'
import { KindField } from './KindField.tsx'

const BEFORE_S = 86_400
const PAGE = 200

type Act = { add: (Row | Gap)[] } | 'pause' | 'resume' | 'clear'
const reduce = (feed: Feed, act: Act): Feed => {
  if (act === 'pause') return pause(feed)
  if (act === 'resume') return resume(feed)
  if (act === 'clear') return clear(feed)
  return add(feed, act.add)
}

interface Props {
  sid: string
  /** Only events of this kind; empty is every kind. */
  kind: string
  choose: (kind: string) => void
  /** Only events with this text. */
  find: string
  filter: (text: string) => void
}

/** Events of a sensor, the newest at the bottom, as they happen. Another kind is another timeline. */
export function Timeline({ sid, kind, choose, find, filter }: Props) {
  const { oid, may } = useOrganization()
  const [feed, act] = useReducer(reduce, emptyFeed)
  const [byScroll, setByScroll] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const isAllowed = may('insight.evt.get')
  const kept = useQuery({
    queryKey: ['timeline', oid, sid, kind],
    queryFn: ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      return call<{ events: Row[] }>(
        'GET',
        `/v1/insight/${oid}/${sid}`,
        { start: end - BEFORE_S, end, limit: PAGE, is_forward: false, event_type: kind },
        signal,
      )
    },
    enabled: oid !== '' && isAllowed,
    staleTime: Infinity,
  })
  useEffect(() => {
    if (kept.data) act({ add: [...kept.data.events].reverse() })
  }, [kept.data])
  useTopic('events', oid && isAllowed ? { oid, sid } : undefined, {
    rows: (rows) => act({ add: (rows as Row[]).filter((row) => !kind || row.routing?.event_type === kind) }),
    gap: (missed) => {
      if (missed) act({ add: [{ missed, key: `gap ${Date.now()}` }] })
      else void kept.refetch()
    },
  })
  const needle = find.toLowerCase()
  const shown = feed.rows.filter((row) => isGap(row) || !needle || JSON.stringify(row).toLowerCase().includes(needle))
  // biome-ignore lint/correctness/useExhaustiveDependencies: new rows move it to the end
  useEffect(() => {
    if (!feed.isPaused && box.current) box.current.scrollTop = box.current.scrollHeight
  }, [shown.length, feed.isPaused])
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current ?? { scrollTop: 0, clientHeight: 0, scrollHeight: 0 }
    if (feed.isPaused || scrollTop + clientHeight > scrollHeight - 40) return
    setByScroll(true)
    act('pause')
  }
  if (!isAllowed)
    return (
      <div className="page">
        <Forbidden permission="insight.evt.get" />
      </div>
    )
  return (
    <>
      <div className="head">
        <KindField sid={sid} kind={kind} choose={choose} />
        <TextFilter label="Only events with this text" text={find} change={filter} />
        <button
          type="button"
          aria-pressed={feed.isPaused}
          onClick={() => {
            setByScroll(false)
            act(feed.isPaused ? 'resume' : 'pause')
          }}
        >
          {feed.isPaused ? `Resume (${feed.waiting.length} new)` : 'Pause'}
        </button>
        <button type="button" onClick={() => act('clear')}>
          Clear
        </button>
        {feed.isPaused && byScroll && <span role="status">Paused because you scrolled.</span>}
      </div>
      <div className="page" ref={box} onScroll={scrolled} tabIndex={0} role="region" aria-label="Events">
        <Reading of={kept} what="Kept events" />
        {kept.data && !feed.rows.length && (
          <Empty title="No events of the last day.">
            <p>New ones appear here as they come.</p>
          </Empty>
        )}
        <div>
          {shown.map((row) =>
            isGap(row) ? (
              <p key={row.key} className="warn">{`${row.missed} events were not shown.`}</p>
            ) : (
              <Event key={String(row.routing?.event_id)} row={row} />
            ),
          )}
        </div>
      </div>
    </>
  )
}
