import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Reading } from '../look/Reading.tsx'
import { TextFilter } from '../look/TextFilter.tsx'
import { counted } from '../look/words.ts'
import { ProcessRow } from './ProcessRow.tsx'
import { matching, placed, treeOf } from './tree.ts'

/** Processes are looked for so far back. */
const SPAN_S = 86_400
/** Beginnings that are read; the newest. */
const READ_MAX = 2_000
/** Rows that are drawn; who looks for others narrows the text. */
const SHOWN_MAX = 500

/** Processes that began on a machine of late, as a tree. */
export function Processes({ sid, isOnline }: { sid: string; isOnline: boolean }) {
  const { oid, may } = useOrganization()
  const [words, setWords] = useState('')
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set())
  const isAllowed = may('insight.evt.get')
  const read = useQuery({
    queryKey: ['processes', oid, sid],
    queryFn: async ({ signal }) => {
      const end = Math.ceil(Date.now() / 1000) + 60
      const of = (event_type: string) =>
        call<{ events: Row[] }>(
          'GET',
          `/v1/insight/${oid}/${sid}`,
          { start: end - SPAN_S, end, limit: READ_MAX, is_forward: false, event_type },
          signal,
        ).then((answer) => answer.events)
      const [begun, ended] = await Promise.all([of('NEW_PROCESS'), of('TERMINATE_PROCESS')])
      return { tops: treeOf(begun, ended), hasMore: begun.length === READ_MAX }
    },
    enabled: oid !== '' && isAllowed,
  })
  const rows = useMemo(() => placed(matching(read.data?.tops ?? [], words.trim()), closed), [read.data, words, closed])
  const toggle = (id: string) => {
    const next = new Set(closed)
    if (!next.delete(id)) next.add(id)
    setClosed(next)
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
        <TextFilter
          label="Only processes with this text"
          hint="Only processes with this text: path, command line, user or pid"
          text={words}
          change={setWords}
        />
        <span role="status" className="soft">
          {read.data &&
            `${counted(Math.min(rows.length, SHOWN_MAX), 'row')}${rows.length > SHOWN_MAX || read.data.hasMore ? ' of the newest' : ''}`}
        </span>
        <button type="button" disabled={read.isFetching} onClick={() => void read.refetch()}>
          Look again
        </button>
      </div>
      <div className="page">
        <Reading of={read} what="Processes" />
        {read.data && !rows.length && (
          <Empty title={words ? 'No process with this text.' : 'No process was reported to begin in the last day.'}>
            {words ? (
              <button type="button" onClick={() => setWords('')}>
                Clear
              </button>
            ) : (
              'Where its kernel does not tell a sensor of new processes, it looks for them now and then, and misses those that soon end.'
            )}
          </Empty>
        )}
        {rows.length > 0 && (
          <div role="tree" aria-label="Processes" className="tree">
            {rows.slice(0, SHOWN_MAX).map(({ process, level }) => (
              <ProcessRow
                key={process.id}
                process={process}
                level={level}
                isOpen={!closed.has(process.id)}
                toggle={() => toggle(process.id)}
                mayKill={isOnline && may('sensor.task') ? sid : undefined}
              />
            ))}
          </div>
        )}
      </div>
    </>
  )
}
