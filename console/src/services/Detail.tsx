import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Service } from '../api/types.ts'
import { useIsLeaving } from '../look/Delete.tsx'
import { FactList } from '../look/FactList.tsx'
import { Head } from '../look/Head.tsx'
import { Reading } from '../look/Reading.tsx'
import { sizeOf } from '../look/size.ts'
import { Acts } from '../programs/Acts.tsx'
import { Deliveries } from '../programs/Deliveries.tsx'
import { registration } from '../programs/registration.tsx'
import { Wellness } from '../programs/Wellness.tsx'
import { Request } from './Request.tsx'

const AGAIN_MS = 5_000

/** A service: how it is, what it is told, what waits for it, and what it can be asked. */
export function ServiceDetail() {
  const { oid, may } = useOrganization()
  const { name } = useParams({ from: '/$org/services/$name' })
  const isLeaving = useIsLeaving(name)
  const path = `/v1/services/${oid}/${encodeURIComponent(name)}`
  const read = useQuery({
    queryKey: ['service', oid, name],
    queryFn: ({ signal }) => call<Service>('GET', path, {}, signal),
    enabled: oid !== '' && !isLeaving,
    refetchInterval: AGAIN_MS,
  })
  const service = read.data
  return (
    <>
      <Head title={name} within="Services">
        {service && <Wellness program={service} />}
        <span className="grow" />
        {service && <Acts kind="service" name={name} program={service} changed={() => void read.refetch()} />}
      </Head>
      <div className="page">
        <Reading of={read} what="The service" gone="There is no such service." />
        {service && <Facts service={service} />}
        {service && !isLeaving && <Deliveries path={path} />}
        {service?.is_subscribed && may('ext.request') && <Request name={name} params={service.request_params} />}
      </div>
    </>
  )
}

/** What rules look up in it, and how large that is. */
const published = ({ resources }: Service) =>
  Object.entries(resources)
    .map(([name, { category, bytes }]) => `${name} (${category}, ${sizeOf(bytes)})`)
    .join(', ')

function Facts({ service }: { service: Service }) {
  const facts: [string, React.ReactNode][] = [
    ...registration(service),
    ['Hears of', service.callbacks.join(', ') || '–'],
    ['Publishes for rules', published(service) || 'nothing that a rule names'],
    ['Detections', [...service.detect_subscriptions, ...service.detects].join(', ') || '–'],
  ]
  return (
    <section className="panel">
      <h2>What it is</h2>
      <FactList facts={facts} />
    </section>
  )
}
