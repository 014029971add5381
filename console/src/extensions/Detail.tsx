import { useQuery } from '@tanstack/react-query'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { call, type Failure as Refusal } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Empty, Failure } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { Answer } from '../schema/Answer.tsx'
import type { ObjectSchema } from '../schema/form.ts'
import { SchemaForm } from '../schema/SchemaForm.tsx'

interface Action {
  is_user_facing?: boolean | null
  short_description?: string | null
  parameters?: ObjectSchema | null
}
interface Schema {
  request_schema?: Record<string, Action> | null
}

/** What an extension can be asked for, each with a form of its own. */
export function ExtensionDetail() {
  const { oid, org } = useOrganization()
  const { name } = useParams({ from: '/$org/extensions/$name' })
  const { action } = useSearch({ from: '/$org/extensions/$name' })
  const schema = useQuery({
    queryKey: ['schema', oid, name],
    queryFn: ({ signal }) =>
      call<{ schema?: Schema } & Schema>('GET', `/v1/extension/schema/${encodeURIComponent(name)}`, { oid }, signal).then(
        (answer) => answer.schema ?? answer,
      ),
    enabled: oid !== '',
    staleTime: Infinity,
  })
  const actions = Object.entries(schema.data?.request_schema ?? {}).filter(([, one]) => one.is_user_facing !== false)
  const chosen = actions.find(([one]) => one === action)
  return (
    <>
      <Head title={name} within="Extensions" />
      <div className="page">
        {schema.error &&
          ((schema.error as Refusal).status === 404 ? (
            <Empty title="There is no such extension." />
          ) : (
            <Failure what="Its schema could not be read" error={schema.error} again={() => void schema.refetch()} />
          ))}
        {actions.length > 0 && (
          <nav className="line" aria-label="Actions">
            {actions.map(([one]) => (
              <Link
                key={one}
                className="button"
                to="/$org/extensions/$name"
                params={{ org, name }}
                search={{ action: one }}
                aria-current={one === action ? 'page' : undefined}
              >
                {one}
              </Link>
            ))}
          </nav>
        )}
        {chosen && <Ask key={chosen[0]} extension={name} action={chosen[0]} about={chosen[1]} />}
      </div>
    </>
  )
}

function Ask({ extension, action, about }: { extension: string; action: string; about: Action }) {
  const { oid } = useOrganization()
  const [answer, setAnswer] = useState<unknown>()
  const send = async (data: Record<string, unknown>) => {
    setAnswer(undefined)
    const fields = { oid, action, data: JSON.stringify(data) }
    setAnswer(await call('POST', `/v1/extension/request/${encodeURIComponent(extension)}`, fields))
  }
  return (
    <section className="panel">
      <h2>{about.short_description || action}</h2>
      <SchemaForm schema={about.parameters ?? {}} does={`Ask: ${action}`} send={send} />
      {answer !== undefined && <Answer answer={answer} />}
    </section>
  )
}
