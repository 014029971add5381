import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Sensor } from '../api/types.ts'
import { Artifacts } from '../files/Artifacts.tsx'
import { useTopic } from '../live/useLive.ts'
import { LiveResponse } from '../live-response/LiveResponse.tsx'
import { Head } from '../look/Head.tsx'
import { isGone, Reading } from '../look/Reading.tsx'
import { State } from '../look/State.tsx'
import { Time } from '../look/Time.tsx'
import { ofServer } from '../look/time.ts'
import { Processes } from '../processes/Processes.tsx'
import { ofSids } from '../selector/ofSids.ts'
import { Timeline } from '../timeline/Timeline.tsx'
import { Activity } from './Activity.tsx'
import { Facts } from './Facts.tsx'
import { Owed } from './Owed.tsx'
import { Protection } from './Protection.tsx'
import { Tags } from './Tags.tsx'
import { Tasks } from './Tasks.tsx'

const TABS = { overview: 'Overview', timeline: 'Timeline', processes: 'Processes', tasks: 'Tasks', files: 'Files', session: 'Live session' }

export function SensorDetail() {
  const { oid, org, may } = useOrganization()
  const { sid } = useParams({ from: '/$org/sensors/$sid' })
  const { tab = 'overview', kind = '', find = '' } = useSearch({ from: '/$org/sensors/$sid' })
  const queries = useQueryClient()
  const navigate = useNavigate()
  const sensor = useQuery({
    queryKey: ['sensor', oid, sid],
    queryFn: ({ signal }) => call<{ info: Sensor }>('GET', `/v1/${sid}`, {}, signal).then((answer) => answer.info),
    enabled: oid !== '',
  })
  useTopic('sensors', oid ? { oid, sids: [sid] } : undefined, {
    rows: (rows) => {
      const change = rows.at(-1) as Partial<Sensor>
      queries.setQueryData<Sensor>(['sensor', oid, sid], (old) => old && { ...old, ...change })
    },
    gap: () => void sensor.refetch(),
  })
  if (!sensor.data || isGone(sensor))
    return (
      <>
        <Head title="Sensor" within="Sensors" />
        <div className="page">
          <Reading of={sensor} what="The sensor" gone="There is no such sensor." />
        </div>
      </>
    )
  const info = sensor.data
  const showEvents = (of: { kind: string; find: string }, replace = false) =>
    void navigate({
      to: '/$org/sensors/$sid',
      params: { org, sid },
      search: { tab: 'timeline', kind: of.kind || undefined, find: of.find || undefined },
      replace,
    })
  return (
    <>
      <Head title={info.hostname || sid} within="Sensors">
        <State of={info.is_online ? 'online' : 'offline'} />
        {!info.is_online && (
          <span className="soft">
            last seen <Time ms={ofServer(info.alive)} ago />
          </span>
        )}
        <span className="grow" />
        {may('ext.request') && (
          <Link className="button" to="/$org/reliable-tasking/new" params={{ org }} search={{ selector: ofSids([sid]) }}>
            Run a command…
          </Link>
        )}
      </Head>
      <nav className="tabs" aria-label="Parts of the sensor">
        {(Object.keys(TABS) as (keyof typeof TABS)[]).map((name) => (
          <Link
            key={name}
            to="/$org/sensors/$sid"
            params={{ org, sid }}
            search={{ tab: name }}
            aria-current={tab === name ? 'page' : undefined}
            activeOptions={{ includeSearch: true }}
          >
            {TABS[name]}
          </Link>
        ))}
      </nav>
      {tab === 'timeline' ? (
        <Timeline
          key={`${sid} ${kind}`}
          sid={sid}
          kind={kind}
          choose={(chosen) => showEvents({ kind: chosen, find })}
          find={find}
          filter={(text) => showEvents({ kind, find: text }, true)}
        />
      ) : tab === 'processes' ? (
        <Processes sid={sid} isOnline={info.is_online} />
      ) : tab === 'tasks' ? (
        <Tasks sid={sid} />
      ) : tab === 'files' ? (
        <div className="page">
          <Artifacts sid={sid} />
        </div>
      ) : tab === 'session' ? (
        <LiveResponse key={sid} sid={sid} host={info.hostname || sid} isOnline={info.is_online} />
      ) : (
        <Overview info={info} changed={() => void sensor.refetch()} />
      )}
    </>
  )
}

function Overview({ info, changed }: { info: Sensor; changed: () => void }) {
  return (
    <div className="page">
      <div className="columns">
        <Facts info={info} />
        <Tags info={info} changed={changed} />
        <Protection info={info} changed={changed} />
      </div>
      <Owed sid={info.sid} />
      <Activity sid={info.sid} />
    </div>
  )
}
