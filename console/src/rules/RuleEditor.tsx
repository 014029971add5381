import { useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { call, type Failure as Refusal } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { writeYaml } from '../editor/yaml.ts'
import { Empty, Failure, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { Form } from './Form.tsx'
import { FALSE_POSITIVES, type Kind, RULES, type RuleRecord } from './kinds.ts'

/** A false-positive rule for what a detection was. */
const against = (detection: Row) =>
  writeYaml({
    op: 'and',
    rules: [
      { op: 'is', path: 'cat', value: detection.cat },
      { op: 'is', path: 'routing/hostname', value: detection.routing?.hostname },
    ],
  })

function Edit({ kind }: { kind: Kind }) {
  const { oid, may } = useOrganization()
  const { name, from } = useSearch({ strict: false }) as { name?: string; from?: string }
  const isAllowed = oid !== '' && may(kind.see)
  const record = useQuery({
    queryKey: ['rule', oid, kind.hive, name],
    queryFn: ({ signal }) => call<RuleRecord>('GET', `/v1/hive/${kind.hive}/${oid}/${encodeURIComponent(name ?? '')}/data`, {}, signal),
    enabled: isAllowed && name !== undefined,
    // What is being edited does not change under the hand; saving compares.
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  })
  const detection = useQuery({
    queryKey: ['detection', oid, from],
    queryFn: ({ signal }) => call<Row>('GET', `/v1/insight/${oid}/detections/${from}`, {}, signal),
    enabled: isAllowed && name === undefined && from !== undefined,
    staleTime: Infinity,
  })
  const read = name === undefined ? (from === undefined ? undefined : detection) : record
  const title = name ?? `New ${kind.one}`
  if (!read?.data && read?.error)
    return (
      <>
        <Head title={title} within={kind.title} />
        <div className="page">
          {(read.error as Refusal).status === 404 ? (
            <Empty title={name === undefined ? 'There is no such detection.' : 'There is no such rule.'} />
          ) : (
            <Failure what="It could not be read" error={read.error} again={() => void read.refetch()} />
          )}
        </div>
      </>
    )
  return (
    <>
      <Head title={title} within={kind.title} />
      <div className="page">
        {!may(kind.see) && <Forbidden permission={kind.see} />}
        {name !== undefined && record.data && (
          <Form key={name} kind={kind} name={name} stored={record.data} text={writeYaml(record.data.data)} />
        )}
        {may(kind.see) && name === undefined && (from === undefined || detection.data) && (
          <Form kind={kind} text={detection.data ? against(detection.data) : kind.template} />
        )}
      </div>
    </>
  )
}

export const EditRule = () => <Edit kind={RULES} />
export const EditFalsePositive = () => <Edit kind={FALSE_POSITIVES} />
