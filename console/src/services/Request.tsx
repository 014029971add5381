import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Answer } from '../schema/Answer.tsx'
import { SchemaForm } from '../schema/SchemaForm.tsx'
import { formOf, WHOLE } from './params.ts'

/** Asks a service for something, by the parameters that it declares. */
export function Request({ name, params }: { name: string; params: unknown }) {
  const { oid } = useOrganization()
  const [answer, setAnswer] = useState<unknown>()
  const send = async (data: Record<string, unknown>) => {
    setAnswer(undefined)
    const request_data = JSON.stringify(WHOLE in data ? data[WHOLE] : data)
    setAnswer(await call('POST', `/v1/service/${oid}/${encodeURIComponent(name)}`, { request_data }))
  }
  return (
    <section className="panel">
      <h2>Ask it</h2>
      <SchemaForm schema={formOf(params)} does="Ask" send={send} />
      {answer !== undefined && <Answer answer={answer} />}
    </section>
  )
}
