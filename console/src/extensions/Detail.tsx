import { useQuery } from '@tanstack/react-query'
import { useParams, useSearch } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Definition, Extension } from '../api/types.ts'
import { useIsLeaving } from '../look/Delete.tsx'
import { FactList } from '../look/FactList.tsx'
import { Head } from '../look/Head.tsx'
import { Reading } from '../look/Reading.tsx'
import { Acts } from '../programs/Acts.tsx'
import { Deliveries } from '../programs/Deliveries.tsx'
import { registration } from '../programs/registration.tsx'
import { Wellness } from '../programs/Wellness.tsx'
import { Actions } from './Actions.tsx'
import { Configuration } from './Configuration.tsx'
import { useSchema } from './schema.ts'

const AGAIN_MS = 5_000

/** An extension: how it is, what the organization sets in it, and what it can be asked for. */
export function ExtensionDetail() {
  const { oid, may } = useOrganization()
  const { name } = useParams({ from: '/$org/extensions/$name' })
  const { action } = useSearch({ from: '/$org/extensions/$name' })
  const isLeaving = useIsLeaving(name)
  const path = `/v1/extensions/${oid}/${encodeURIComponent(name)}`
  const definition = useQuery({
    queryKey: ['definition', oid, name],
    queryFn: ({ signal }) => call<Definition>('GET', `/v1/extension/definition/${encodeURIComponent(name)}`, { oid }, signal),
    enabled: oid !== '',
  })
  const subscriptions = useQuery({
    queryKey: ['subscriptions', oid],
    queryFn: ({ signal }) => call<Record<string, unknown>>('GET', `/v1/orgs/${oid}/subscriptions`, {}, signal),
    enabled: oid !== '',
  })
  const isOfOthers = definition.data?.is_built_in === false
  const registered = useQuery({
    queryKey: ['extension', oid, name],
    queryFn: ({ signal }) => call<Extension>('GET', path, {}, signal),
    enabled: isOfOthers && may('ext.sub') && !isLeaving,
    refetchInterval: AGAIN_MS,
  })
  const isSubscribed = Boolean(subscriptions.data?.[name])
  const schema = useSchema(name, definition.data !== undefined)
  const program = registered.data
  const changed = () => {
    for (const one of [definition, subscriptions, schema]) void one.refetch()
    if (isOfOthers) void registered.refetch()
  }
  return (
    <>
      <Head title={name} within="Extensions">
        {program && <Wellness program={program} />}
        <span className="grow" />
        {definition.data && subscriptions.data && (
          <Acts kind="extension" name={name} program={program} isSubscribed={isSubscribed} changed={changed} />
        )}
      </Head>
      <div className="page">
        <Reading of={definition} what="The extension" gone="There is no such extension." />
        <Reading of={registered} what="The registration" />
        {definition.data && <Reading of={schema} what="What it offers" />}
        {schema.data && isSubscribed && may('ext.request') && <Actions name={name} schema={schema.data} chosen={action} />}
        {schema.data && isSubscribed && <Configuration name={name} schema={schema.data.config_schema ?? {}} />}
        {schema.data && subscriptions.data && !isSubscribed && (
          <p className="soft">Once the organization is subscribed to it, it can be set up and asked here.</p>
        )}
        {program && (
          <section className="panel">
            <h2>What it is</h2>
            <FactList
              facts={[
                ...registration(program),
                ['Hears of', program.required_events.join(', ') || '–'],
                ...Object.entries(program.metrics).map(([counted, value]): [string, string] => [counted, value.toLocaleString('en')]),
              ]}
            />
          </section>
        )}
        {program && !isLeaving && <Deliveries path={path} />}
      </div>
    </>
  )
}
