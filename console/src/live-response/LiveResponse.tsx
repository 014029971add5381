import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { LiveSession } from '../api/types.ts'
import { Failure, Forbidden } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { ofSids } from '../selector/ofSids.ts'
import { sessionsPath } from './conversation.ts'
import { Desk } from './Desk.tsx'

const AGAIN_MS = 3_000
const OPEN = new Set(['PENDING', 'ACTIVE', 'INACTIVE'])
const HEADS = [{ name: 'Opened' }, { name: 'Commands', isNumber: true }, { name: 'How it stands' }, { name: 'Transcript' }]

/** Live sessions with a machine: the one that is open, how to open one, and those before. */
export function LiveResponse({ sid, host, isOnline }: { sid: string; host: string; isOnline: boolean }) {
  const { oid, org, may } = useOrganization()
  const queries = useQueryClient()
  const [begun, setBegun] = useState<LiveSession>()
  const isAllowed = oid !== '' && may('live.session')
  const device = useQuery({
    queryKey: ['device', oid, sid],
    queryFn: ({ signal }) =>
      call<{ device_id: number }>('GET', `/v1/live/${oid}/devices/${sid}`, {}, signal).then((answer) => answer.device_id),
    enabled: isAllowed,
    staleTime: Infinity,
  })
  const sessions = useQuery({
    queryKey: ['live-sessions', oid],
    queryFn: ({ signal }) => call<LiveSession[]>('GET', sessionsPath(oid), {}, signal),
    enabled: isAllowed,
    refetchInterval: AGAIN_MS,
  })
  const open = useMutation({
    mutationFn: () => call<LiveSession>('POST', sessionsPath(oid), { device_id: device.data }),
    onSuccess: (session) => {
      setBegun(session)
      void queries.invalidateQueries({ queryKey: ['live-sessions', oid] })
    },
  })
  if (!may('live.session'))
    return (
      <div className="page">
        <Forbidden permission="live.session" />
      </div>
    )
  const all = (sessions.data ?? []).filter((session) => session.device_id === device.data)
  const present = all.find((session) => OPEN.has(session.status))
  const earlier = all.filter((session) => session.id !== begun?.id && !OPEN.has(session.status)).reverse()
  return (
    <>
      {begun && <Desk session={begun} host={host} again={() => open.mutate()} />}
      <div className={begun ? 'page below' : 'page'}>
        {device.error && <Failure what="The machine could not be found" error={device.error} again={() => void device.refetch()} />}
        <Reading of={sessions} what="Sessions" />
        {open.error && <Failure what="No session was opened" error={open.error} again={() => open.mutate()} />}
        {!begun && (
          <section className="panel">
            <h2>{present ? 'A session is open' : 'Open a live session'}</h2>
            <p>
              In a live session you look at files and processes of the machine, run programs, and bring files here or there. Everything is
              recorded: who ordered it, and what came of it.
            </p>
            {!isOnline && (
              <p className="warn">
                The machine is offline: a session waits for it a quarter of an hour. What can wait longer is better run{' '}
                <Link to="/$org/reliable-tasking/new" params={{ org }} search={{ selector: ofSids([sid]) }}>
                  when it is back
                </Link>
                .
              </p>
            )}
            <div>
              <button type="button" className="prime" disabled={device.data === undefined || open.isPending} onClick={() => open.mutate()}>
                {present ? 'Join it' : 'Open a session'}
              </button>
            </div>
          </section>
        )}
        {earlier.length > 0 && (
          <section className="panel">
            <h2>Of late</h2>
            <ListTable
              label="Sessions of late"
              heads={HEADS}
              rows={earlier.map((session) => ({
                key: session.id,
                cells: [
                  <Time key="opened" ms={Date.parse(session.create_time)} ago />,
                  session.current_command_index,
                  session.status === 'CLOSE' ? 'closed' : 'ended by itself',
                  may('audit.get') && (
                    <Link key="transcript" to="/$org/transcripts/$session" params={{ org, session: session.id }}>
                      {session.id}
                    </Link>
                  ),
                ],
              }))}
            />
          </section>
        )}
      </div>
    </>
  )
}
