import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import { call, type Failure as Refusal } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { LiveSession } from '../api/types.ts'
import { complain } from '../look/notices.tsx'
import { Conversation, sessionsPath } from './conversation.ts'
import { Files } from './Files.tsx'

const Terminal = lazy(() => import('./Terminal.tsx'))
/** How often it is looked how the session stands. */
const AGAIN_MS = 1_000
const STANDS: Record<string, { shape: string; look: string; words: string }> = {
  PENDING: { shape: '◔', look: 'busy', words: 'waiting for the machine' },
  ACTIVE: { shape: '●', look: 'on', words: 'open' },
  INACTIVE: { shape: '◌', look: 'warn', words: 'the machine is away; orders wait for it' },
}
const OVER = { shape: '–', look: 'off', words: 'over' }

/** An open session: the terminal and the files side by side. When it ends, what was typed stays. */
export function Desk({ session, host, again }: { session: LiveSession; host: string; again: () => void }) {
  const { oid, org, may } = useOrganization()
  const path = `${sessionsPath(oid)}/${session.id}`
  const [talk, setTalk] = useState<Conversation>()
  const state = useQuery({
    queryKey: ['live-session', oid, session.id],
    queryFn: async ({ signal }) => {
      try {
        return await call<LiveSession>('GET', path, {}, signal)
      } catch (error) {
        // One that ended by itself is not found any more.
        if ((error as Refusal).status === 404) return { ...session, status: 'TIMEOUT' }
        throw error
      }
    },
    refetchInterval: (query) => (STANDS[query.state.data?.status ?? 'PENDING'] ? AGAIN_MS : false),
  })
  const now = state.data ?? session
  const isOver = !STANDS[now.status]
  if (now.supported_commands && talk?.session.id !== now.id) setTalk(new Conversation(oid, now))
  const { shape, look, words } = STANDS[now.status] ?? OVER
  return (
    <section className="desk" aria-label="Live session">
      <div className="line">
        <span className={`state ${look}`} data-shape={shape} role="status">
          {words}
        </span>
        <span className="soft">Recorded. It ends by itself after {Math.round(session.session_timeout / 60)} minutes without an order.</span>
        <span className="grow" />
        {may('audit.get') && (
          <Link to="/$org/transcripts/$session" params={{ org, session: session.id }}>
            Transcript
          </Link>
        )}
        {isOver ? (
          <button type="button" className="prime" onClick={again}>
            Open another session
          </button>
        ) : (
          <button type="button" onClick={() => void call('DELETE', path).catch((error) => complain('The session was not closed', error))}>
            Close the session
          </button>
        )}
      </div>
      {isOver && (
        <p className="note warn-note" role="alert">
          The session is over: it was closed, or ended by itself. What you were typing stays, and goes on in another session.
        </p>
      )}
      {talk && (
        <div className="desk-parts">
          <Suspense fallback={<div className="screen" aria-busy="true" />}>
            <Terminal talk={talk} host={host} isOver={isOver} ordered={now.current_command_index} />
          </Suspense>
          {may('live.file') && <Files key={talk.session.id} talk={talk} isOver={isOver} />}
        </div>
      )}
    </section>
  )
}
