import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { OutputStanding, OutputTrial } from '../api/types.ts'
import { Delete } from '../look/Delete.tsx'
import { Dialog } from '../look/Dialog.tsx'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { sizeOf } from '../look/size.ts'
import { OutputForm } from './OutputForm.tsx'
import { Standing } from './Standing.tsx'

type Output = Record<string, unknown> & { module: string; for: string }

const HEADS = [
  { name: 'Name' },
  { name: 'Sends', isWide: true },
  { name: 'By', isWide: true },
  { name: 'To', isWide: true },
  { name: 'Waits', isWide: true, isNumber: true },
  { name: 'How it stands' },
  { name: 'Acts' },
]
/** Queues grow and shrink by themselves. */
const AGAIN_MS = 3_000

/** Where streams are sent. */
export function Outputs() {
  const { oid, may } = useOrganization()
  const path = `/v1/outputs/${oid}`
  const [changing, setChanging] = useState<string>()
  const outputs = useQuery({
    queryKey: ['outputs', oid],
    queryFn: ({ signal }) => call<Record<string, Record<string, Output>>>('GET', path, {}, signal).then((answer) => answer[oid] ?? {}),
    enabled: oid !== '' && may('output.list'),
  })
  const standings = useQuery({
    queryKey: ['output-standings', oid],
    queryFn: ({ signal }) =>
      call<{ outputs: Record<string, OutputStanding> }>('GET', `${path}/standing`, {}, signal).then((answer) => answer.outputs),
    enabled: oid !== '' && may('output.list'),
    refetchInterval: AGAIN_MS,
  })
  const test = useMutation({
    mutationFn: (name: string) => call<OutputTrial>('POST', `${path}/test`, { name }),
    onSuccess: ({ is_delivered, error }, name) =>
      is_delivered ? notify(`A test record arrived where ${name} sends.`) : complain(`${name} could not deliver a test record`, error),
    onError: (error, name) => complain(`${name} was not tested`, error),
    onSettled: () => void standings.refetch(),
  })
  const again = () => {
    void outputs.refetch()
    void standings.refetch()
  }
  const all = Object.entries(outputs.data ?? {})
  return (
    <>
      <Head title="Outputs" />
      <div className="page">
        {!may('output.list') && <Forbidden permission="output.list" />}
        <Reading of={outputs} what="Outputs" />
        {standings.error && <Reading of={standings} what="What waits for them" />}
        {outputs.data && !all.length && (
          <Empty title="No outputs yet.">
            <p>An output sends events, detections or the audit on: to files, to syslog, to a web hook.</p>
          </Empty>
        )}
        {all.length > 0 && (
          <p className="soft">
            Test sends one audit record, that of the test itself, at once: past the queue and whatever the output filters.
          </p>
        )}
        {all.length > 0 && (
          <ListTable
            label="Outputs"
            heads={HEADS}
            rows={all.map(([name, output]) => {
              const standing = standings.data?.[name]
              return {
                key: name,
                cells: [
                  name,
                  output.for,
                  output.module,
                  String(output.dest_host ?? output.dir ?? ''),
                  standing && (standing.waiting ? `${standing.waiting.toLocaleString('en')} (${sizeOf(standing.waiting_bytes)})` : '0'),
                  standing && <Standing key="stands" of={standing} />,
                  <span key="acts" className="line">
                    {may('output.set') && (
                      <button type="button" aria-label={`Test ${name}`} disabled={test.isPending} onClick={() => test.mutate(name)}>
                        Test
                      </button>
                    )}
                    {may('output.set') && (
                      <button type="button" aria-label={`Change… ${name}`} onClick={() => setChanging(name)}>
                        Change…
                      </button>
                    )}
                    {may('output.del') && (
                      <Delete name={name} remove={() => call('DELETE', path, { name })} then={again}>
                        Nothing more is sent there; what waits for it is given up.
                      </Delete>
                    )}
                  </span>,
                ],
              }
            })}
          />
        )}
        {may('output.set') && (
          <section className="panel">
            <h2>Make an output</h2>
            <OutputForm path={path} done={again} />
          </section>
        )}
      </div>
      {changing && outputs.data?.[changing] && (
        <Dialog title={`Change ${changing}`} onClose={() => setChanging(undefined)}>
          <OutputForm
            path={path}
            output={outputs.data[changing]}
            done={() => {
              setChanging(undefined)
              again()
            }}
          />
          <div className="actions">
            <button type="button" onClick={() => setChanging(undefined)}>
              Cancel
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}
