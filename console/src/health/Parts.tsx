import { type UseQueryResult, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { OutputStanding, Program, ServerStanding } from '../api/types.ts'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { counted } from '../look/words.ts'

interface Part {
  name: string
  isBad: boolean
  stands: React.ReactNode
  /** What to do about it. */
  advice?: React.ReactNode
}
const AGAIN_MS = 10_000
const HEADS = [{ name: 'Part' }, { name: 'How it is' }, { name: 'What to do' }]

function usePart<T>(part: string, path: string, permission: string) {
  const { oid, may } = useOrganization()
  return useQuery({
    queryKey: ['health', oid, part],
    queryFn: ({ signal }) => call<T>('GET', path, {}, signal),
    enabled: oid !== '' && may(permission),
    refetchInterval: AGAIN_MS,
  })
}

/** Every part on which the organization depends: how it is, and what to do about it. */
export function Parts() {
  const { oid, org } = useOrganization()
  const server = usePart<ServerStanding>('server', `/v1/orgs/${oid}/standing`, 'org.get')
  const outputs = usePart<{ outputs: Record<string, OutputStanding> }>('outputs', `/v1/outputs/${oid}/standing`, 'output.list')
  const services = usePart<{ services: Record<string, Program> }>('services', `/v1/services/${oid}`, 'replicant.get')
  const extensions = usePart<{ extensions: Record<string, Program> }>('extensions', `/v1/extensions/${oid}`, 'ext.sub')
  const all: UseQueryResult<unknown>[] = [server, outputs, services, extensions]
  const parts = [
    ...(server.data ? ofServer(server.data) : []),
    ...Object.entries(outputs.data?.outputs ?? {}).map(([name, standing]) => ofOutput(name, standing, org)),
    ...Object.values(services.data?.services ?? {}).map((one) => ofProgram('service', one, org)),
    ...Object.values(extensions.data?.extensions ?? {}).map((one) => ofProgram('extension', one, org)),
  ]
  return (
    <section className="panel">
      <h2>How each part is</h2>
      {all.map((one, at) => one.error && <Reading key={at} of={one} what="A part" />)}
      {server.isLoading && <Reading of={server} what="The parts" />}
      {parts.length > 0 && (
        <ListTable
          label="Parts"
          heads={HEADS}
          rows={parts.map(({ name, isBad, stands, advice }) => ({
            key: name,
            cells: [
              name,
              <span key="stands" className={`state told ${isBad ? 'bad' : 'on'}`} data-shape={isBad ? '✕' : '●'}>
                {stands}
              </span>,
              advice,
            ],
          }))}
        />
      )}
    </section>
  )
}

function ofServer({ certificates, sensor_versions, unready, version }: ServerStanding): Part[] {
  const versions = Object.entries(sensor_versions).map(([one, count]) => `${one || 'unknown'}: ${counted(count, 'sensor')}`)
  return [
    {
      name: 'store',
      isBad: unready !== null,
      stands: unready ?? 'takes changes and records',
      advice: unready && 'muster doctor on the server',
    },
    ...certificates.map(({ name, until, advice }) => ({
      name,
      isBad: advice !== null,
      stands: (
        <>
          valid until <Time ms={until * 1000} ago />
        </>
      ),
      advice,
    })),
    { name: 'server', isBad: false, stands: `version ${version}` },
    { name: 'sensors', isBad: false, stands: versions.join(', ') || 'none yet' },
  ]
}

const ofOutput = (name: string, { error, waiting }: OutputStanding, org: string): Part => ({
  name: `output ${name}`,
  isBad: error !== null,
  stands: `${error ? `${error}; ` : ''}${counted(waiting, 'record')} waiting`,
  advice: error && (
    <Link to="/$org/outputs" params={{ org }}>
      Test it, or mend its settings
    </Link>
  ),
})

const ofProgram = (kind: 'service' | 'extension', { name, is_well, error }: Program, org: string): Part => ({
  name: `${kind} ${name}`,
  isBad: !is_well && error !== '',
  stands: is_well ? 'answers' : error || 'not asked yet',
  advice: !is_well && error && (
    <Link to={`/$org/${kind}s/$name`} params={{ org, name }}>
      See what waits for it
    </Link>
  ),
})
