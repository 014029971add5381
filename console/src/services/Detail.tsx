import { useMutation, useQuery } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { call, type Failure as Refusal } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Service } from '../api/types.ts'
import { Delete } from '../look/Delete.tsx'
import { FactList } from '../look/FactList.tsx'
import { Empty, Failure } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Time } from '../look/Time.tsx'
import { Deliveries } from './Deliveries.tsx'
import { Request } from './Request.tsx'
import { Wellness } from './Wellness.tsx'

const AGAIN_MS = 5_000

/** A service: how it is, what it is told, what waits for it, and what it can be asked. */
export function ServiceDetail() {
  const { oid, org, may } = useOrganization()
  const { name } = useParams({ from: '/$org/services/$name' })
  const navigate = useNavigate()
  const path = `/v1/services/${oid}/${encodeURIComponent(name)}`
  const read = useQuery({
    queryKey: ['service', oid, name],
    queryFn: ({ signal }) => call<Service>('GET', path, {}, signal),
    enabled: oid !== '',
    refetchInterval: AGAIN_MS,
  })
  const act = useMutation({
    mutationFn: ({ method, part }: { method: string; part: string; said: string }) => call(method, `${path}/${part}`),
    onSuccess: (_, { said }) => notify(said),
    onError: (error) => complain(`${name} did not`, error),
    onSettled: () => void read.refetch(),
  })
  const service = read.data
  return (
    <>
      <Head title={name} within="Services">
        {service && <Wellness service={service} />}
        <span className="grow" />
        {service?.is_own && (
          <button
            type="button"
            disabled={act.isPending}
            onClick={() => act.mutate({ method: 'POST', part: 'health', said: `${name} answered.` })}
          >
            Ask how it is
          </button>
        )}
        {service && !service.is_subscribed && may('ext.sub') && (
          <button
            type="button"
            className="prime"
            disabled={act.isPending}
            onClick={() => act.mutate({ method: 'POST', part: 'subscription', said: `The organization is subscribed to ${name}.` })}
          >
            Subscribe
          </button>
        )}
        {service?.is_subscribed && may('ext.sub') && (
          <>
            <button
              type="button"
              disabled={act.isPending}
              onClick={() => act.mutate({ method: 'PATCH', part: 'subscription', said: `${name} has a new key; the old one is void.` })}
            >
              New key
            </button>
            <Delete name={name} does="Unsubscribe" remove={() => call('DELETE', `${path}/subscription`)} then={() => void read.refetch()}>
              It is told of nothing more, and its key is void. Its jobs stay.
            </Delete>
          </>
        )}
        {service?.is_own && may('ext.sub') && (
          <Delete name={name} remove={() => call('DELETE', path)} then={() => void navigate({ to: '/$org/services', params: { org } })}>
            Every subscription to it ends, in every organization. What waits for it is forgotten.
          </Delete>
        )}
      </Head>
      <div className="page">
        {read.error &&
          ((read.error as Refusal).status === 404 ? (
            <Empty title="There is no such service." />
          ) : (
            <Failure what="The service could not be read" error={read.error} again={() => void read.refetch()} />
          ))}
        {service && <Facts service={service} />}
        {service && <Deliveries name={name} />}
        {service?.is_subscribed && may('ext.request') && <Request name={name} params={service.request_params} />}
      </div>
    </>
  )
}

function Facts({ service }: { service: Service }) {
  const facts: [string, React.ReactNode][] = [
    ...(service.is_own
      ? ([
          ['Address', <code key="url">{service.url}</code>],
          ['Signed', service.has_secret ? 'with its shared secret' : 'with an empty key: anybody could say it'],
          [
            'Registered',
            <span key="created">
              <Time ms={(service.created ?? 0) * 1000} /> by {service.by}
            </span>,
          ],
        ] as [string, React.ReactNode][])
      : []),
    ['Offered to', service.is_public ? 'every organization of the server' : 'this organization'],
    ['Subscribed', service.is_subscribed ? 'yes' : 'no: it is told of nothing here'],
    ['Answered last', <Time key="well" ms={(service.well_at ?? 0) * 1000} ago />],
    ['Hears of', service.callbacks.join(', ') || '–'],
    ['Detections', [...service.detect_subscriptions, ...service.detects].join(', ') || '–'],
    ['May', service.permissions.join(', ') || 'nothing'],
  ]
  return (
    <section className="panel">
      <h2>What it is</h2>
      <FactList facts={facts} />
    </section>
  )
}
