import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Answer } from '../schema/Answer.tsx'
import { SchemaForm } from '../schema/SchemaForm.tsx'
import type { Action, Schema } from './schema.ts'

interface Props {
  name: string
  schema: Schema
  /** The action whose form is shown. */
  chosen: string | undefined
}

/** What an extension can be asked for, each with a form of its own. */
export function Actions({ name, schema, chosen }: Props) {
  const { org } = useOrganization()
  const actions = Object.entries(schema.request_schema ?? {}).filter(([, one]) => one.is_user_facing !== false)
  const about = actions.find(([one]) => one === chosen)?.[1]
  if (!actions.length) return null
  return (
    <section className="panel">
      <h2>Ask it</h2>
      <nav className="line" aria-label="Actions">
        {actions.map(([one, action]) => (
          <Link
            key={one}
            className="button"
            to="/$org/extensions/$name"
            params={{ org, name }}
            search={{ action: one }}
            title={action.short_description ?? ''}
            aria-current={one === chosen ? 'page' : undefined}
          >
            {action.label || one}
          </Link>
        ))}
      </nav>
      {chosen && about && <Ask key={chosen} extension={name} action={chosen} about={about} />}
    </section>
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
    <>
      <p>{about.long_description || about.short_description}</p>
      <SchemaForm schema={about.parameters ?? {}} does={`Ask: ${about.label || action}`} send={send} />
      {answer !== undefined && <Answer answer={answer} />}
    </>
  )
}
