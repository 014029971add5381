import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { FactList } from '../look/FactList.tsx'
import { Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { Parts } from './Parts.tsx'

interface Facts {
  name: string
  created: number
  sensor_quota: number
  n_rules: number
  n_outputs: number
  n_installation_keys: number
  n_sensors: number
  n_online: number
}
interface Trouble {
  component: string
  error: string
  ts: number
}
const AGAIN_MS = 10_000
const HEADS = [{ name: 'Part' }, { name: 'What is wrong' }, { name: 'Since', isWide: true }, { name: 'Acts' }]

/** What is wrong, and how much there is of everything. */
export function Health() {
  const { oid, may } = useOrganization()
  const isAllowed = oid !== '' && may('org.get')
  const facts = useQuery({
    queryKey: ['organization', oid],
    queryFn: ({ signal }) => call<Facts>('GET', `/v1/orgs/${oid}`, {}, signal),
    enabled: isAllowed,
    refetchInterval: AGAIN_MS,
  })
  const errors = useQuery({
    queryKey: ['errors', oid],
    queryFn: ({ signal }) => call<{ errors: Trouble[] }>('GET', `/v1/errors/${oid}`, {}, signal).then((answer) => answer.errors),
    enabled: isAllowed,
    refetchInterval: AGAIN_MS,
  })
  const told: [string, React.ReactNode][] = facts.data
    ? [
        ['Organization', facts.data.name],
        ['Its id', <code key="oid">{oid}</code>],
        ['Made', <Time key="made" ms={facts.data.created * 1000} />],
        ['Sensors', `${facts.data.n_sensors.toLocaleString('en')}, of which ${facts.data.n_online.toLocaleString('en')} are online`],
        ['Sensors at most', facts.data.sensor_quota ? facts.data.sensor_quota.toLocaleString('en') : 'as many as the server allows'],
        ['Rules', facts.data.n_rules],
        ['Outputs', facts.data.n_outputs],
        ['Installation keys', facts.data.n_installation_keys],
      ]
    : []
  return (
    <>
      <Head title="Health" />
      <div className="page">
        {!may('org.get') && <Forbidden permission="org.get" />}
        <Reading of={errors} what="Errors" />
        <section className="panel">
          <h2>Errors</h2>
          {errors.data?.length === 0 && <p className="ok">Nothing is wrong.</p>}
          {errors.data && errors.data.length > 0 && (
            <ListTable
              label="Errors"
              heads={HEADS}
              rows={errors.data.map((one) => ({
                key: one.component,
                cells: [
                  <code key="part">{one.component}</code>,
                  <span key="error" className="bad">
                    {one.error}
                  </span>,
                  <Time key="since" ms={one.ts * 1000} ago />,
                  may('org.conf.set') && (
                    <Delete
                      key="dismiss"
                      name={one.component}
                      does="Dismiss"
                      remove={() => call('DELETE', `/v1/errors/${oid}/${encodeURIComponent(one.component)}`)}
                      then={() => void errors.refetch()}
                    >
                      If it happens again, it is told again.
                    </Delete>
                  ),
                ],
              }))}
            />
          )}
        </section>
        {may('org.get') && <Parts />}
        <Reading of={facts} what="The organization" />
        <section className="panel">
          <h2>What there is</h2>
          <FactList facts={told} />
          <p className="soft">Ports, disk, clock and every stored row of the server: muster doctor.</p>
        </section>
      </div>
    </>
  )
}
