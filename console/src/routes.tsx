import { QueryClient } from '@tanstack/react-query'
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'
import { Failure } from './api/client.ts'
import { sessionQuery, slugOf } from './api/session.ts'
import { Empty, Failure as FailureNote } from './look/Failure.tsx'
import { SignIn } from './shell/SignIn.tsx'

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What the server decided stays so; only a server that is away is worth another try.
      retry: (count, error) => count < 2 && error instanceof Failure && (error.status === 0 || error.status >= 500),
      refetchOnWindowFocus: true,
    },
  },
})

async function sessionOr(href: string) {
  try {
    return await queries.ensureQueryData(sessionQuery)
  } catch (error) {
    if (error instanceof Failure && error.isSignedOut) throw redirect({ to: '/sign-in', search: { to: href === '/' ? undefined : href } })
    throw error
  }
}

const root = createRootRoute({ component: Outlet })
const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  component: SignIn,
  validateSearch: (search: Record<string, unknown>): { to?: string | undefined } => ({
    // Only to a page of this console.
    to: typeof search.to === 'string' && /^\/(?![/\\])/.test(search.to) ? search.to : undefined,
  }),
})
const start = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: async () => {
    const session = await sessionOr('/')
    const first = session.organizations[0]
    throw redirect({ to: '/$org', params: { org: first ? slugOf(first, session.organizations) : 'none' }, replace: true })
  },
})
const shell = createRoute({
  getParentRoute: () => root,
  path: '/$org',
  beforeLoad: async ({ location }) => {
    await sessionOr(location.href)
  },
  component: lazyRouteComponent(() => import('./shell/Shell.tsx'), 'Shell'),
})
const overview = createRoute({
  getParentRoute: () => shell,
  path: '/',
  component: lazyRouteComponent(() => import('./overview/Overview.tsx'), 'Overview'),
})
const account = createRoute({
  getParentRoute: () => shell,
  path: '/account',
  component: lazyRouteComponent(() => import('./shell/Account.tsx'), 'Account'),
})
const text = (value: unknown) => (typeof value === 'string' && value ? value : undefined)
/** Orders that the server keeps. */
const SORTS = ['hostname', '-hostname', 'alive', '-alive']
const STATES = ['online', 'offline'] as const
const sensors = createRoute({
  getParentRoute: () => shell,
  path: '/sensors',
  validateSearch: (
    search: Record<string, unknown>,
  ): {
    selector?: string | undefined
    sort?: string | undefined
    state?: (typeof STATES)[number] | undefined
    columns?: string | undefined
    task?: string | undefined
  } => ({
    task: text(search.task),
    columns: typeof search.columns === 'string' ? search.columns : undefined,
    selector: text(search.selector),
    sort: SORTS.find((sort) => sort === search.sort),
    state: STATES.find((state) => state === search.state),
  }),
  component: lazyRouteComponent(() => import('./sensors/List.tsx'), 'Sensors'),
})
const TABS = ['overview', 'timeline', 'processes', 'tasks', 'files', 'session'] as const
const sensor = createRoute({
  getParentRoute: () => shell,
  path: '/sensors/$sid',
  validateSearch: (
    search: Record<string, unknown>,
  ): {
    tab?: (typeof TABS)[number] | undefined
    kind?: string | undefined
    find?: string | undefined
  } => ({
    find: text(search.find),
    tab: TABS.find((tab) => tab === search.tab),
    kind: text(search.kind),
  }),
  component: lazyRouteComponent(() => import('./sensors/Detail.tsx'), 'SensorDetail'),
})
const tasks = createRoute({
  getParentRoute: () => shell,
  path: '/reliable-tasking',
  validateSearch: (search: Record<string, unknown>): { find?: string | undefined; open?: boolean | undefined } => ({
    find: text(search.find),
    open: search.open === true || undefined,
  }),
  component: lazyRouteComponent(() => import('./reliable-tasking/List.tsx'), 'ReliableTasking'),
})
const newTask = createRoute({
  getParentRoute: () => shell,
  path: '/reliable-tasking/new',
  validateSearch: (search: Record<string, unknown>): { task?: string | undefined; selector?: string | undefined } => ({
    task: text(search.task),
    selector: text(search.selector),
  }),
  component: lazyRouteComponent(() => import('./reliable-tasking/New.tsx'), 'NewTask'),
})
const task = createRoute({
  getParentRoute: () => shell,
  path: '/reliable-tasking/$task',
  validateSearch: (
    search: Record<string, unknown>,
  ): { state?: string | undefined; sid?: string | undefined; sort?: string | undefined } => ({
    state: text(search.state),
    sort: SORTS.find((sort) => sort === search.sort),
    sid: text(search.sid),
  }),
  component: lazyRouteComponent(() => import('./reliable-tasking/Detail.tsx'), 'TaskDetail'),
})
const find = (search: Record<string, unknown>): { find?: string | undefined } => ({ find: text(search.find) })
const BESIDE = ['trial', 'tests', 'history'] as const
const edited = (
  search: Record<string, unknown>,
): {
  name?: string | undefined
  from?: string | undefined
  sid?: string | undefined
  tab?: (typeof BESIDE)[number] | undefined
} => ({
  tab: BESIDE.find((tab) => tab === search.tab),
  name: text(search.name),
  from: text(search.from),
  sid: text(search.sid),
})
const rules = createRoute({
  getParentRoute: () => shell,
  path: '/rules',
  validateSearch: find,
  component: lazyRouteComponent(() => import('./rules/Rules.tsx'), 'Rules'),
})
const rule = createRoute({
  getParentRoute: () => shell,
  path: '/rules/edit',
  validateSearch: edited,
  component: lazyRouteComponent(() => import('./rules/RuleEditor.tsx'), 'EditRule'),
})
const falsePositives = createRoute({
  getParentRoute: () => shell,
  path: '/false-positives',
  validateSearch: find,
  component: lazyRouteComponent(() => import('./rules/FalsePositives.tsx'), 'FalsePositives'),
})
const falsePositive = createRoute({
  getParentRoute: () => shell,
  path: '/false-positives/edit',
  validateSearch: edited,
  component: lazyRouteComponent(() => import('./rules/RuleEditor.tsx'), 'EditFalsePositive'),
})
const GROUPINGS = ['kind', 'rule'] as const
/** A span of time in seconds, if it is one. */
const span = (from: unknown, until: unknown) =>
  typeof from === 'number' && typeof until === 'number' && 0 <= from && from < until ? { from, until } : {}
const SPANS = ['1h', '1d', '1w', '30d'] as const
const detections = createRoute({
  getParentRoute: () => shell,
  path: '/detections',
  validateSearch: (
    search: Record<string, unknown>,
  ): {
    cat?: string | undefined
    rule?: string | undefined
    by?: (typeof GROUPINGS)[number] | undefined
    since?: (typeof SPANS)[number] | undefined
    from?: number | undefined
    until?: number | undefined
    id?: string | undefined
  } => ({
    ...span(search.from, search.until),
    cat: text(search.cat),
    rule: text(search.rule),
    by: GROUPINGS.find((grouping) => grouping === search.by),
    since: SPANS.find((span) => span === search.since),
    id: text(search.id),
  }),
  component: lazyRouteComponent(() => import('./detections/List.tsx'), 'Detections'),
})
const installationKeys = createRoute({
  getParentRoute: () => shell,
  path: '/installation-keys',
  component: lazyRouteComponent(() => import('./keys/InstallationKeys.tsx'), 'InstallationKeys'),
})
const users = createRoute({
  getParentRoute: () => shell,
  path: '/users',
  component: lazyRouteComponent(() => import('./users/Users.tsx'), 'Users'),
})
const outputs = createRoute({
  getParentRoute: () => shell,
  path: '/outputs',
  component: lazyRouteComponent(() => import('./outputs/Outputs.tsx'), 'Outputs'),
})
const files = createRoute({
  getParentRoute: () => shell,
  path: '/files',
  component: lazyRouteComponent(() => import('./files/Files.tsx'), 'Files'),
})
const health = createRoute({
  getParentRoute: () => shell,
  path: '/health',
  component: lazyRouteComponent(() => import('./health/Health.tsx'), 'Health'),
})
const audit = createRoute({
  getParentRoute: () => shell,
  path: '/audit',
  validateSearch: find,
  component: lazyRouteComponent(() => import('./audit/Audit.tsx'), 'Audit'),
})
const extensions = createRoute({
  getParentRoute: () => shell,
  path: '/extensions',
  component: lazyRouteComponent(() => import('./extensions/List.tsx'), 'Extensions'),
})
const extension = createRoute({
  getParentRoute: () => shell,
  path: '/extensions/$name',
  validateSearch: (search: Record<string, unknown>): { action?: string | undefined } => ({ action: text(search.action) }),
  component: lazyRouteComponent(() => import('./extensions/Detail.tsx'), 'ExtensionDetail'),
})
const services = createRoute({
  getParentRoute: () => shell,
  path: '/services',
  component: lazyRouteComponent(() => import('./services/Services.tsx'), 'Services'),
})
const service = createRoute({
  getParentRoute: () => shell,
  path: '/services/$name',
  component: lazyRouteComponent(() => import('./services/Detail.tsx'), 'ServiceDetail'),
})
const jobs = createRoute({
  getParentRoute: () => shell,
  path: '/jobs',
  validateSearch: find,
  component: lazyRouteComponent(() => import('./jobs/List.tsx'), 'Jobs'),
})
const job = createRoute({
  getParentRoute: () => shell,
  path: '/jobs/$job',
  component: lazyRouteComponent(() => import('./jobs/Detail.tsx'), 'JobDetail'),
})
const transcript = createRoute({
  getParentRoute: () => shell,
  path: '/transcripts/$session',
  component: lazyRouteComponent(() => import('./live-response/Transcript.tsx'), 'Transcript'),
})

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    start,
    shell.addChildren([
      overview,
      account,
      sensors,
      sensor,
      tasks,
      newTask,
      task,
      rules,
      rule,
      falsePositives,
      falsePositive,
      detections,
      installationKeys,
      users,
      outputs,
      files,
      health,
      audit,
      extensions,
      extension,
      services,
      service,
      jobs,
      job,
      transcript,
    ]),
  ]),
  basepath: '/console',
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultNotFoundComponent: () => (
    <div className="page">
      <Empty title="There is no such page." />
    </div>
  ),
  defaultErrorComponent: ({ error, reset }) => (
    <div className="page">
      <FailureNote what="This page failed" error={error} again={reset} />
    </div>
  ),
})
declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
