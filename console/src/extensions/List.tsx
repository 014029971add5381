import { useMutation, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Definition, Extension } from '../api/types.ts'
import { Empty } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { Time } from '../look/Time.tsx'
import { Register } from '../programs/Register.tsx'
import { Wellness } from '../programs/Wellness.tsx'

interface Subscription {
  by: string
  since: number
}
/** Extensions become well and ill by themselves. */
const AGAIN_MS = 5_000
const HEADS = [{ name: 'Extension' }, { name: 'How it is' }, { name: 'Subscribed' }, { name: 'By', isWide: true }, { name: 'Acts' }]

/** Extensions that the organization can use, and those it is subscribed to. */
export function Extensions() {
  const { oid, org, may } = useOrganization()
  const definitions = useQuery({
    queryKey: ['definitions', oid],
    queryFn: ({ signal }) => call<Definition[]>('GET', '/v1/extension/definition', { oid }, signal),
    enabled: oid !== '',
  })
  const subscriptions = useQuery({
    queryKey: ['subscriptions', oid],
    queryFn: ({ signal }) => call<Record<string, Subscription>>('GET', `/v1/orgs/${oid}/subscriptions`, {}, signal),
    enabled: oid !== '',
  })
  const registered = useQuery({
    queryKey: ['extensions', oid],
    queryFn: ({ signal }) =>
      call<{ extensions: Record<string, Extension> }>('GET', `/v1/extensions/${oid}`, {}, signal).then((answer) => answer.extensions),
    enabled: oid !== '' && may('ext.sub'),
    refetchInterval: AGAIN_MS,
  })
  const again = () => {
    for (const one of [definitions, subscriptions, registered]) void one.refetch()
  }
  const subscribe = useMutation({
    mutationFn: (name: string) => call('POST', `/v1/orgs/${oid}/subscription/extension/${encodeURIComponent(name)}`),
    onSuccess: (_, name) => notify(`The organization is subscribed to ${name}.`),
    onError: (error) => complain('There is no subscription', error),
    onSettled: again,
  })
  const all = [...(definitions.data ?? [])].sort((a, b) => a.name.localeCompare(b.name))
  return (
    <>
      <Head title="Extensions" />
      <div className="page">
        <p className="soft">An extension adds actions that people, rules and programs ask for.</p>
        <Reading of={definitions} what="Extensions" />
        <Reading of={subscriptions} what="Subscriptions" />
        {definitions.data && !all.length && <Empty title="No extensions." />}
        {all.length > 0 && (
          <ListTable
            label="Extensions"
            heads={HEADS}
            rows={all.map(({ name, is_built_in }) => {
              const program = registered.data?.[name]
              const subscription = subscriptions.data?.[name]
              return {
                key: name,
                cells: [
                  <Link key="name" to="/$org/extensions/$name" params={{ org, name }}>
                    {name}
                  </Link>,
                  is_built_in ? 'part of the server' : program && <Wellness key="well" program={program} />,
                  subscription ? (
                    <>
                      since <Time ms={subscription.since * 1000} />
                    </>
                  ) : (
                    'no'
                  ),
                  subscription?.by,
                  subscriptions.data && !subscription && may('ext.sub') && (
                    <button
                      key="subscribe"
                      type="button"
                      aria-label={`Subscribe to ${name}`}
                      disabled={subscribe.isPending}
                      onClick={() => subscribe.mutate(name)}
                    >
                      Subscribe
                    </button>
                  ),
                ],
              }
            })}
          />
        )}
        {may('ext.sub') && <Register kind="extension" done={again} />}
      </div>
    </>
  )
}
