import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Sensor } from '../api/types.ts'
import { Confirm } from '../look/Dialog.tsx'
import { complain, notify } from '../look/notices.tsx'

const FLAGS = [
  {
    path: 'isolation',
    name: 'Network isolation',
    on: 'Isolate…',
    off: 'Rejoin',
    wanted: 'should_isolate',
    reported: 'is_isolated',
    means: 'The machine keeps its connection to this server and loses every other one. It ends when you rejoin it here.',
  },
  {
    path: 'seal',
    name: 'Seal',
    on: 'Seal…',
    off: 'Unseal',
    wanted: 'should_seal',
    reported: 'is_sealed',
    means: 'The sensor cannot be stopped or removed on the machine itself. It ends when you unseal it here.',
  },
] as const

/** Isolation and seal: what is wanted, and what the sensor reports; the sensor decides. */
export function Protection({ info, changed }: { info: Sensor; changed: () => void }) {
  const { may } = useOrganization()
  const [asking, setAsking] = useState<(typeof FLAGS)[number]>()
  const set = useMutation({
    mutationFn: ({ path, on }: { path: string; on: boolean }) => call(on ? 'POST' : 'DELETE', `/v1/${info.sid}/${path}`),
    onSuccess: () => {
      setAsking(undefined)
      notify('Wanted. The sensor reports when it is so.')
      changed()
    },
    onError: (error) => complain('That did not work', error),
  })
  const word = (on: boolean) => (on ? 'on' : 'off')
  return (
    <section className="panel">
      <h2>Protection</h2>
      {FLAGS.map((flag) => {
        const [wanted, reported] = [info[flag.wanted], info[flag.reported]]
        return (
          <div key={flag.path} className="line">
            <span className="grow">
              {flag.name}: wanted <strong>{word(wanted)}</strong>, reported{' '}
              <strong className={wanted === reported ? undefined : 'warn'}>{word(reported)}</strong>
            </span>
            {may('sensor.task') && (
              <button
                type="button"
                disabled={set.isPending}
                onClick={() => (wanted ? set.mutate({ path: flag.path, on: false }) : setAsking(flag))}
              >
                {wanted ? flag.off : flag.on}
              </button>
            )}
          </div>
        )
      })}
      {asking && (
        <Confirm
          title={`${asking.name} of ${info.hostname || info.sid}`}
          does={asking.on.replace('…', '')}
          word={info.hostname || info.sid}
          busy={set.isPending}
          onYes={() => set.mutate({ path: asking.path, on: true })}
          onClose={() => setAsking(undefined)}
        >
          <p>{asking.means}</p>
        </Confirm>
      )}
    </section>
  )
}
