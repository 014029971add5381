import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useActionState, useEffect, useState } from 'react'
import { call, type Failure } from '../api/client.ts'
import type { Link } from '../api/types.ts'

const PASSWORD_MIN = 12

/** Seconds until the next try, counting down; 0 if one may try. */
function useCountdown(from: number) {
  const [left, setLeft] = useState(from)
  useEffect(() => {
    setLeft(from)
    if (!from) return
    const until = Date.now() + from * 1_000
    const timer = setInterval(() => setLeft(Math.max(0, Math.ceil((until - Date.now()) / 1_000))), 1_000)
    return () => clearInterval(timer)
  }, [from])
  return left
}

/** Name and password; calls `done` when signed in. Also shown over a page whose session ended. */
export function PasswordForm({ title, done }: { title: string; done: () => void }) {
  const [failure, submit, busy] = useActionState(async (_: Failure | undefined, form: FormData) => {
    try {
      await call('POST', '/console/api/sign-in', { user: String(form.get('user')), password: String(form.get('password')) })
      done()
    } catch (error) {
      return error as Failure
    }
  }, undefined)
  const wait = useCountdown(failure?.retryAfter ?? 0)
  return (
    <form action={submit}>
      <h1>{title}</h1>
      <div className="field">
        <label htmlFor="user">User (e-mail address)</label>
        <input id="user" name="user" autoComplete="username" required />
      </div>
      <div className="field">
        <label htmlFor="password">Password</label>
        <input id="password" name="password" type="password" autoComplete="current-password" required />
      </div>
      {failure && (
        <p role="alert" className="bad">
          {failure.retryAfter
            ? wait
              ? `Too many tries. The next one is possible in ${wait} s.`
              : 'You can try again now.'
            : `${failure.message}.`}
        </p>
      )}
      <button className="prime" type="submit" disabled={busy || wait > 0}>
        Sign in
      </button>
    </form>
  )
}

/** What a one-time link leads to. */
function OnceForm({ once, done }: { once: string; done: () => void }) {
  const link = useQuery({
    queryKey: ['link', once],
    queryFn: () => call<Link>('POST', '/console/api/link', { once }),
    retry: false,
    staleTime: Infinity,
  })
  const [failure, submit, busy] = useActionState(async (_: string, form: FormData) => {
    const password = String(form.get('password') ?? '')
    if (form.has('again') && password !== form.get('again')) return 'The two passwords differ.'
    try {
      await call('POST', '/console/api/link/use', { once, user: String(form.get('user') ?? ''), password })
      done()
      return ''
    } catch (error) {
      return `${(error as Error).message}.`
    }
  }, '')
  if (link.isPending) return <p role="status">Looking at the link…</p>
  if (link.error)
    return (
      <div className="note bad-note" role="alert">
        <p>
          <strong>This link does not work.</strong>
        </p>
        <p>{link.error.message}.</p>
        <p>
          If you can use the command line of the server: <code>muster console</code>.
        </p>
        <a href="/console/sign-in">Sign in with a password</a>
      </div>
    )
  const { purpose, user } = link.data
  return (
    <form action={submit}>
      <h1>{purpose === 'sign-in' ? 'Sign in to muster' : purpose === 'password' ? 'Choose a password' : 'Make the first user'}</h1>
      {purpose === 'new-user' ? (
        <div className="field">
          <label htmlFor="user">User (e-mail address)</label>
          <input id="user" name="user" type="email" autoComplete="username" required />
          <small>By this name you sign in. Nothing is sent to it.</small>
        </div>
      ) : (
        <p>
          as <strong>{user}</strong>
        </p>
      )}
      {purpose !== 'sign-in' && (
        <>
          {user && <input type="hidden" name="username" autoComplete="username" value={user} readOnly />}
          <div className="field">
            <label htmlFor="password">Password</label>
            <input
              id="password"
              name="password"
              type="password"
              autoComplete="new-password"
              minLength={PASSWORD_MIN}
              aria-describedby="rule"
              required
            />
            <small id="rule">At least {PASSWORD_MIN} characters.</small>
          </div>
          <div className="field">
            <label htmlFor="again">The same again</label>
            <input id="again" name="again" type="password" autoComplete="new-password" required />
          </div>
        </>
      )}
      {failure && (
        <p role="alert" className="bad">
          {failure}
        </p>
      )}
      <button className="prime" type="submit" disabled={busy}>
        Sign in
      </button>
    </form>
  )
}

export function SignIn() {
  const navigate = useNavigate()
  const queries = useQueryClient()
  const { to } = useSearch({ from: '/sign-in' })
  // What the link proves stays out of the history.
  const [once] = useState(() => new URLSearchParams(location.hash.slice(1)).get('once') ?? '')
  useEffect(() => {
    document.title = 'Sign in · muster'
    if (location.hash) history.replaceState(history.state, '', location.pathname + location.search)
  }, [])
  const done = () => {
    // Whatever another user was shown; the link is looked at no more than once.
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== 'link' })
    new BroadcastChannel('muster-session').postMessage('in')
    void navigate({ href: to ?? '/', replace: true })
  }
  return (
    <main className="sign">{once ? <OnceForm once={once} done={done} /> : <PasswordForm title="Sign in to muster" done={done} />}</main>
  )
}
