import { useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { NewOutput } from './NewOutput.tsx'

type Output = Record<string, unknown> & { module: string; for: string }

const HEADS = [{ name: 'Name' }, { name: 'Sends' }, { name: 'By', isWide: true }, { name: 'To', isWide: true }, { name: 'Acts' }]

/** Where streams are sent. */
export function Outputs() {
  const { oid, may } = useOrganization()
  const path = `/v1/outputs/${oid}`
  const outputs = useQuery({
    queryKey: ['outputs', oid],
    queryFn: ({ signal }) => call<Record<string, Record<string, Output>>>('GET', path, {}, signal).then((answer) => answer[oid] ?? {}),
    enabled: oid !== '' && may('output.list'),
  })
  const again = () => void outputs.refetch()
  const all = Object.entries(outputs.data ?? {})
  return (
    <>
      <Head title="Outputs" />
      <div className="page">
        {!may('output.list') && <Forbidden permission="output.list" />}
        <Reading of={outputs} what="Outputs" />
        {outputs.data && !all.length && (
          <Empty title="No outputs yet.">
            <p>An output sends events, detections or the audit on: to files, to syslog, to a web hook.</p>
          </Empty>
        )}
        {all.length > 0 && (
          <ListTable
            label="Outputs"
            heads={HEADS}
            rows={all.map(([name, output]) => ({
              key: name,
              cells: [
                name,
                output.for,
                output.module,
                String(output.dest_host ?? output.dir ?? ''),
                may('output.del') && (
                  <Delete name={name} remove={() => call('DELETE', path, { name })} then={again}>
                    Nothing more is sent there; what waits for it is given up.
                  </Delete>
                ),
              ],
            }))}
          />
        )}
        {may('output.set') && <NewOutput path={path} made={again} />}
      </div>
    </>
  )
}
