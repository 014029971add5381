import { useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Row } from '../api/types.ts'
import { writeYaml } from '../editor/yaml.ts'
import { Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { Reading } from '../look/Reading.tsx'
import { Form } from './Form.tsx'
import { FALSE_POSITIVES, type Kind, RULES, type RuleRecord } from './kinds.ts'

function Edit({ kind }: { kind: Kind }) {
  const { oid, may } = useOrganization()
  const { name, from, sid } = useSearch({ strict: false }) as { name?: string; from?: string; sid?: string }
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
  // A rule begins with an event of a sensor, a false-positive rule with a detection.
  const source = useQuery({
    queryKey: ['source', oid, sid, from],
    queryFn: ({ signal }) => call<Row>('GET', `/v1/insight/${oid}/${sid ?? 'detections'}/${from}`, {}, signal),
    enabled: isAllowed && name === undefined && from !== undefined,
    staleTime: Infinity,
  })
  const read = name === undefined ? (from === undefined ? undefined : source) : record
  const title = name ?? `New ${kind.one}`
  return (
    <>
      <Head title={title} within={kind.title} />
      <div className="page">
        {!may(kind.see) && <Forbidden permission={kind.see} />}
        {read && (
          <Reading
            of={read}
            what="It"
            gone={name === undefined ? 'What it begins with is not there any more.' : 'There is no such rule.'}
          />
        )}
        {name !== undefined && record.data && (
          <Form key={name} kind={kind} name={name} stored={record.data} text={writeYaml(record.data.data)} />
        )}
        {may(kind.see) && name === undefined && (from === undefined || source.data) && (
          <Form kind={kind} text={source.data ? writeYaml(kind.begin(source.data)) : kind.template} />
        )}
      </div>
    </>
  )
}

export const EditRule = () => <Edit kind={RULES} />
export const EditFalsePositive = () => <Edit kind={FALSE_POSITIVES} />
