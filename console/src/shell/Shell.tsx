import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useParams, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { call, whenSignedOut } from '../api/client.ts'
import { organizationOf, sessionQuery, slugOf, useOrganization } from '../api/session.ts'
import type { Session } from '../api/types.ts'
import { live, useLiveState, whenLiveIsOver } from '../live/useLive.ts'
import { Dialog } from '../look/Dialog.tsx'
import { Failure } from '../look/Failure.tsx'
import { Notices } from '../look/notices.tsx'
import { localTime } from '../look/time.ts'
import { KeyHelp } from './KeyHelp.tsx'
import { useKeys } from './keys.ts'
import { NewOrganization } from './NewOrganization.tsx'
import { GROUPS, pagesFor } from './pages.ts'
import { PasswordForm } from './SignIn.tsx'
import { applyTheme, chosenTheme, type Theme } from './settings.ts'

const Palette = lazy(() => import('./Palette.tsx'))
/** A tab that is hidden this long gives its live connection back. */
const HIDDEN_MAX_MS = 60_000

export function Shell() {
  const session = useQuery(sessionQuery)
  const { org = '' } = useParams({ strict: false }) as { org?: string }
  if (session.isPending) return <main className="sign" aria-busy="true" />
  if (!session.data)
    return (
      <main className="sign">
        <Failure what="The console could not start" error={session.error} again={() => void session.refetch()} />
      </main>
    )
  const organization = organizationOf(session.data, org)
  return <Frame session={session.data} isKnown={Boolean(organization)} />
}

function Frame({ session, isKnown }: { session: Session; isKnown: boolean }) {
  const { may, org } = useOrganization()
  const [dialog, setDialog] = useState<'palette' | 'keys' | 'organization' | ''>('')
  const [isMenuShown, setMenuShown] = useState(false)
  const navigate = useNavigate()
  const path = useRouterState({ select: (state) => state.location.pathname })
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the menu of phones
  useEffect(() => setMenuShown(false), [path])
  useLiveConnection()
  const isSignedOut = useSignedOut()
  useKeys({
    palette: () => setDialog('palette'),
    help: () => setDialog('keys'),
    go: (page) => void navigate({ href: `/${org}${page.path ? `/${page.path}` : ''}` }),
    pages: pagesFor(may),
  })
  const groups = GROUPS.map((group) => ({ group, pages: pagesFor(may).filter((page) => page.group === group) }))
  return (
    <>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <div className="shell">
        <header className="top">
          <button type="button" className="plain menu-button" aria-expanded={isMenuShown} onClick={() => setMenuShown(!isMenuShown)}>
            Menu
          </button>
          <Link to="/$org" params={{ org }} className="brand">
            muster
          </Link>
          <OrganizationSwitch session={session} org={org} />
          <span className="grow" />
          <button type="button" onClick={() => setDialog('palette')}>
            Go to… <kbd className="hint">Ctrl K</kbd>
          </button>
          <LiveLine />
          <UserMenu user={session.user} version={session.version} org={org} makeOrganization={() => setDialog('organization')} />
        </header>
        <nav className={`side ${isMenuShown ? 'shown' : ''}`} aria-label="Pages">
          {groups.map(({ group, pages }) =>
            pages.length ? (
              <div key={group}>
                {group && <h2>{group}</h2>}
                {pages.map((page) => (
                  <NavLink key={page.path} href={`/${org}${page.path ? `/${page.path}` : ''}`} isFront={!page.path} name={page.name} />
                ))}
              </div>
            ) : null,
          )}
        </nav>
        <main className="main" id="main">
          {isKnown ? <Outlet /> : <NoOrganization session={session} />}
        </main>
      </div>
      <Notices />
      {dialog === 'palette' && (
        <Suspense>
          <Palette onClose={() => setDialog('')} />
        </Suspense>
      )}
      {dialog === 'organization' && <NewOrganization onClose={() => setDialog('')} />}
      {dialog === 'keys' && <KeyHelp onClose={() => setDialog('')} />}
      {isSignedOut && <SignedOut />}
    </>
  )
}

function NavLink({ href, name, isFront }: { href: string; name: string; isFront: boolean }) {
  return (
    <Link to={href} activeOptions={{ exact: isFront, includeSearch: false }}>
      {name}
    </Link>
  )
}

function OrganizationSwitch({ session, org }: { session: Session; org: string }) {
  const navigate = useNavigate()
  const all = session.organizations
  const here = organizationOf(session, org)
  if (all.length < 2) return <span className="wide soft">{here?.name}</span>
  return (
    <select
      aria-label="Organization"
      value={here ? slugOf(here, all) : ''}
      onChange={(event) => void navigate({ to: '/$org', params: { org: event.target.value } })}
    >
      {!here && <option value="">–</option>}
      {all.map((one) => (
        <option key={one.oid} value={slugOf(one, all)}>
          {one.name}
        </option>
      ))}
    </select>
  )
}

function NoOrganization({ session }: { session: Session }) {
  return (
    <div className="page">
      <div className="note warn-note" role="alert">
        <p>
          <strong>There is no such organization, or you do not belong to it.</strong>
        </p>
        {session.organizations.map((one) => (
          <Link key={one.oid} to="/$org" params={{ org: slugOf(one, session.organizations) }}>
            {one.name}
          </Link>
        ))}
        {!session.organizations.length && (
          <p>You belong to none. Whoever manages one can add you: muster user create {session.user} --role Viewer.</p>
        )}
      </div>
    </div>
  )
}

function LiveLine() {
  const { state, lostAt } = useLiveState()
  const words = state === 'live' ? 'live' : lostAt ? `stale since ${localTime(lostAt).slice(-8)}` : 'connecting…'
  return (
    <span className={`state ${state === 'live' ? 'on' : 'warn'}`} data-shape={state === 'live' ? '●' : '◌'} role="status">
      {words}
    </span>
  )
}

interface UserMenuProps {
  user: string
  version: string
  org: string
  makeOrganization: () => void
}

function UserMenu({ user, version, org, makeOrganization }: UserMenuProps) {
  const queries = useQueryClient()
  const [theme, setTheme] = useState(chosenTheme)
  const choose = (chosen: Theme) => {
    applyTheme(chosen)
    setTheme(chosen)
    document.dispatchEvent(new Event('muster-theme'))
  }
  const signOut = async () => {
    // What is under way would be refused. What is kept goes with the page: taken away before, it would be asked for again.
    live.disconnect()
    await queries.cancelQueries()
    await call('POST', '/console/api/sign-out').catch(() => {})
    new BroadcastChannel('muster-session').postMessage('out')
    location.assign('/console/sign-in')
  }
  return (
    <>
      <button type="button" popoverTarget="user-menu" aria-label={`Account of ${user}`}>
        <span className="wide">{user}</span>
        <span aria-hidden="true">▾</span>
      </button>
      <div id="user-menu" popover="auto" className="popover">
        <strong>{user}</strong>
        <span className="soft">muster {version}</span>
        <Link to="/$org/account" params={{ org }}>
          Password and sessions
        </Link>
        <button type="button" className="plain" popoverTarget="user-menu" popoverTargetAction="hide" onClick={makeOrganization}>
          New organization…
        </button>
        <label className="line">
          Theme
          <select value={theme} onChange={(event) => choose(event.target.value as Theme)}>
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
        <a href="/console/licences.md">Licences</a>
        <button type="button" onClick={() => void signOut()}>
          Sign out
        </button>
      </div>
    </>
  )
}

/** One connection per tab; given back when the tab is hidden, taken up at once when it is shown. */
function useLiveConnection() {
  useEffect(() => {
    let hidden: ReturnType<typeof setTimeout> | undefined
    const look = () => {
      clearTimeout(hidden)
      if (document.visibilityState === 'visible') live.connect()
      else hidden = setTimeout(() => live.disconnect(), HIDDEN_MAX_MS)
    }
    const online = () => live.connect()
    live.connect()
    document.addEventListener('visibilitychange', look)
    window.addEventListener('online', online)
    return () => {
      clearTimeout(hidden)
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('online', online)
      live.disconnect()
    }
  }, [])
}

/** Whether the session is over, as any call, the live connection or another tab found. */
function useSignedOut() {
  const queries = useQueryClient()
  const [isOut, setOut] = useState(false)
  useEffect(() => {
    const channel = new BroadcastChannel('muster-session')
    channel.onmessage = ({ data }) => {
      setOut(data === 'out')
      if (data === 'in') {
        live.connect()
        void queries.invalidateQueries()
      }
    }
    whenSignedOut(() => setOut(true))
    whenLiveIsOver(() => setOut(true))
    return () => channel.close()
  }, [queries])
  return isOut
}

/** Over the page, so that nothing typed is lost. */
function SignedOut() {
  return (
    <Dialog title="Signed out" onClose={() => location.assign('/console/sign-in')}>
      <div className="sign">
        <PasswordForm title="Sign in to go on" done={() => new BroadcastChannel('muster-session').postMessage('in')} />
      </div>
    </Dialog>
  )
}
