import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import type { ObjectSchema } from '../schema/form.ts'
import { SchemaForm } from '../schema/SchemaForm.tsx'

interface Kept {
  data: Record<string, unknown>
  usr_mtd?: Record<string, unknown>
  sys_mtd?: { etag: string }
}

/** What the organization sets in an extension, by the form that the extension describes; the extension says whether it is right. */
export function Configuration({ name, schema }: { name: string; schema: ObjectSchema }) {
  const { oid, may } = useOrganization()
  const path = `/v1/hive/extension_config/${oid}`
  const isAllowed = may('ext.conf.get') && Object.keys(schema.fields ?? {}).length > 0
  const kept = useQuery({
    queryKey: ['extension-config', oid, name],
    // Of all, since one that is not set yet would be an error; nothing set is an empty configuration.
    queryFn: ({ signal }) => call<Record<string, Kept>>('GET', path, {}, signal).then((answer): Kept => answer[name] ?? { data: {} }),
    enabled: oid !== '' && isAllowed,
    // What is being typed does not change under the hand; saving compares.
    staleTime: Infinity,
    refetchOnWindowFocus: false,
  })
  if (!isAllowed) return null
  const save = async (data: Record<string, unknown>) => {
    const usr_mtd = JSON.stringify({ ...kept.data?.usr_mtd, enabled: true })
    await call('POST', `${path}/${encodeURIComponent(name)}/data`, { data: JSON.stringify(data), usr_mtd, etag: kept.data?.sys_mtd?.etag })
    notify(`${name} is set up.`)
    await kept.refetch()
  }
  return (
    <section className="panel">
      <h2>What is set in it</h2>
      <Reading of={kept} what="What is set" />
      {kept.data && (
        <SchemaForm
          key={kept.data.sys_mtd?.etag ?? ''}
          schema={schema}
          values={kept.data.data}
          does="Save"
          isReadOnly={!may('ext.conf.set')}
          send={save}
        />
      )}
    </section>
  )
}
