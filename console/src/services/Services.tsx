import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Service } from '../api/types.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { Register } from '../programs/Register.tsx'
import { Wellness } from '../programs/Wellness.tsx'

/** Services become well and ill by themselves. */
const AGAIN_MS = 5_000
const HEADS = [{ name: 'Service' }, { name: 'How it is' }, { name: 'Subscribed' }, { name: 'Hears of', isWide: true }]

/** Programs of others that are told what happens, and answer requests. */
export function Services() {
  const { oid, org, may } = useOrganization()
  const services = useQuery({
    queryKey: ['services', oid],
    queryFn: ({ signal }) =>
      call<{ services: Record<string, Service> }>('GET', `/v1/services/${oid}`, {}, signal).then((answer) => answer.services),
    enabled: oid !== '' && may('replicant.get'),
    refetchInterval: AGAIN_MS,
  })
  const again = () => void services.refetch()
  const all = Object.entries(services.data ?? {}).sort(([a], [b]) => a.localeCompare(b))
  return (
    <>
      <Head title="Services" />
      <div className="page">
        {!may('replicant.get') && <Forbidden permission="replicant.get" />}
        <Reading of={services} what="Services" />
        {services.data && !all.length && (
          <Empty title="No services yet.">
            <p>A service is a program of yours. It is told of detections and events that it asks for, answers requests, and keeps jobs.</p>
            <code>muster service register NAME --url URL</code>
          </Empty>
        )}
        {all.length > 0 && (
          <ListTable
            label="Services"
            heads={HEADS}
            rows={all.map(([name, service]) => ({
              key: name,
              cells: [
                <Link key="name" to="/$org/services/$name" params={{ org, name }}>
                  {name}
                </Link>,
                <Wellness key="well" program={service} />,
                service.is_subscribed ? 'yes' : 'no',
                service.callbacks.join(', '),
              ],
            }))}
          />
        )}
        {may('ext.sub') && <Register kind="service" done={again} />}
      </div>
    </>
  )
}
