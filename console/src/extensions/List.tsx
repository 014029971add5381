import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { Empty, Failure } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { notify } from '../look/notices.tsx'
import { Time } from '../look/Time.tsx'
import { useSend } from '../look/useSend.ts'

interface Subscription {
  by: string
  since: number
}
const HEADS = [{ name: 'Extension' }, { name: 'By', isWide: true }, { name: 'Since', isWide: true }, { name: 'Acts' }]

/** Extensions that the organization is subscribed to. */
export function Extensions() {
  const { oid, org, may } = useOrganization()
  const path = (name: string) => `/v1/orgs/${oid}/subscription/extension/${encodeURIComponent(name)}`
  const subscriptions = useQuery({
    queryKey: ['subscriptions', oid],
    queryFn: ({ signal }) => call<Record<string, Subscription>>('GET', `/v1/orgs/${oid}/subscriptions`, {}, signal),
    enabled: oid !== '',
  })
  const again = () => void subscriptions.refetch()
  const { failure, submit, busy } = useSend(async (form) => {
    const name = String(form.get('name')).trim()
    await call('POST', path(name))
    notify(`The organization is subscribed to ${name}.`)
    again()
  })
  const all = Object.entries(subscriptions.data ?? {}).sort(([a], [b]) => a.localeCompare(b))
  return (
    <>
      <Head title="Extensions" />
      <div className="page">
        {subscriptions.error && <Failure what="Subscriptions could not be read" error={subscriptions.error} again={again} />}
        {subscriptions.data && !all.length && (
          <Empty title="No subscriptions.">
            <p>An extension adds actions that people, rules and programs ask for.</p>
          </Empty>
        )}
        {all.length > 0 && (
          <ListTable
            label="Extensions"
            heads={HEADS}
            rows={all.map(([name, subscription]) => ({
              key: name,
              cells: [
                <Link key="name" to="/$org/extensions/$name" params={{ org, name }}>
                  {name}
                </Link>,
                subscription.by,
                <Time key="since" ms={subscription.since * 1000} />,
                may('ext.sub') && (
                  <Delete key="end" name={name} does="Unsubscribe" remove={() => call('DELETE', path(name))} then={again}>
                    Rules and people can ask it for nothing more.
                  </Delete>
                ),
              ],
            }))}
          />
        )}
        {may('ext.sub') && (
          <form onSubmit={submit} className="line">
            <label htmlFor="extension">Subscribe to</label>
            <input id="extension" name="name" required placeholder="name of the extension" />
            <button type="submit" disabled={busy}>
              Subscribe
            </button>
          </form>
        )}
        {failure !== undefined && <Failure what="There is no subscription" error={failure} />}
      </div>
    </>
  )
}
