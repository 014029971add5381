import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useActionState } from 'react'
import { call } from '../api/client.ts'
import { sessionQuery } from '../api/session.ts'
import type { OwnSession } from '../api/types.ts'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { browserOf } from './browser.ts'

const HEADS = [
  { name: 'Browser' },
  { name: 'From', isWide: true },
  { name: 'Signed in', isWide: true },
  { name: 'Last used' },
  { name: 'Acts' },
]

export function Account() {
  const user = useQuery(sessionQuery).data?.user
  return (
    <>
      <Head title="Password and sessions">
        <span className="soft">{user}</span>
      </Head>
      <div className="page">
        <Sessions />
        <Password />
      </div>
    </>
  )
}

function Sessions() {
  const queries = useQueryClient()
  const sessions = useQuery({ queryKey: ['sessions'], queryFn: () => call<{ sessions: OwnSession[] }>('GET', '/console/api/sessions') })
  const end = useMutation({
    mutationFn: (id: string) => call('DELETE', `/console/api/sessions/${id}`),
    onSuccess: () => {
      notify('The session was ended.')
      void queries.invalidateQueries({ queryKey: ['sessions'] })
    },
    onError: (error) => complain('The session was not ended', error),
  })
  const everywhere = async () => {
    await call('POST', '/console/api/sign-out', { everywhere: true })
    location.assign('/console/sign-in')
  }
  return (
    <section className="panel">
      <h2>Where you are signed in</h2>
      <Reading of={sessions} what="Sessions" />
      {sessions.data && (
        <ListTable
          label="Sessions"
          heads={HEADS}
          rows={sessions.data.sessions.map((one) => ({
            key: one.id,
            cells: [
              <span key="browser" title={one.agent}>
                {browserOf(one.agent)}
                {one.is_this && <strong> (this one)</strong>}
              </span>,
              <span key="from" className="mono">
                {one.source ?? '–'}
              </span>,
              <Time key="since" ms={one.created * 1000} />,
              <Time key="seen" ms={one.seen * 1000} ago />,
              !one.is_this && (
                <button key="end" type="button" disabled={end.isPending} onClick={() => end.mutate(one.id)}>
                  End
                </button>
              ),
            ],
          }))}
        />
      )}
      <div>
        <button type="button" onClick={() => void everywhere()}>
          Sign out everywhere
        </button>
      </div>
    </section>
  )
}

function Password() {
  const [said, submit, busy] = useActionState(async (_: string, form: FormData) => {
    if (form.get('password') !== form.get('again')) return 'The two passwords differ.'
    try {
      await call('POST', '/console/api/password', { present: String(form.get('present')), password: String(form.get('password')) })
      notify('The password was changed. Your other sessions were ended.')
      return ''
    } catch (error) {
      return `${(error as Error).message}.`
    }
  }, '')
  const fields = [
    ['present', 'Present password', 'current-password'],
    ['password', 'New password (at least 12 characters)', 'new-password'],
    ['again', 'The same again', 'new-password'],
  ] as const
  return (
    <section className="panel">
      <h2>Change the password</h2>
      <form action={submit} className="form">
        {fields.map(([name, label, complete]) => (
          <div className="field" key={name}>
            <label htmlFor={name}>{label}</label>
            <input id={name} name={name} type="password" autoComplete={complete} required />
          </div>
        ))}
        {said && (
          <p role="alert" className="bad">
            {said}
          </p>
        )}
        <div>
          <button type="submit" disabled={busy}>
            Change
          </button>
        </div>
      </form>
    </section>
  )
}
