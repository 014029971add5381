import { useMutation, useQuery } from '@tanstack/react-query'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Deliveries as Told } from '../api/types.ts'
import { ListTable } from '../look/ListTable.tsx'
import { complain, notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { sizeOf } from '../look/size.ts'
import { Time } from '../look/Time.tsx'
import { counted } from '../look/words.ts'

/** Deliveries come and go by themselves. */
const AGAIN_MS = 3_000
const HEADS = [
  { name: 'About' },
  { name: 'Waits since', isWide: true },
  { name: 'Size', isWide: true, isNumber: true },
  { name: 'Tries', isNumber: true },
  { name: 'How it stands' },
  { name: 'Acts' },
]

/** What waits for a program, and what was given up. */
export function Deliveries({ path }: { path: string }) {
  const { oid, may } = useOrganization()
  const read = useQuery({
    queryKey: ['deliveries', path],
    queryFn: ({ signal }) => call<Told>('GET', `${path}/deliveries`, {}, signal),
    refetchInterval: AGAIN_MS,
  })
  const again = useMutation({
    mutationFn: (mid: string) => call('POST', `/v1/deliveries/${oid}/${mid}`),
    onSuccess: () => notify('It is delivered again.'),
    onError: (error) => complain('It is not delivered again', error),
    onSettled: () => void read.refetch(),
  })
  const all = read.data?.deliveries ?? []
  return (
    <section className="panel">
      <h2>What waits for it</h2>
      <Reading of={read} what="Deliveries" />
      {read.data && !all.length && <p className="soft">Nothing: it has taken all that it was told.</p>}
      {read.data && read.data.dropped > 0 && (
        <p className="bad">{counted(read.data.dropped, 'message')} dropped since the server started, because too many waited.</p>
      )}
      {all.length > 0 && (
        <ListTable
          label="Deliveries"
          heads={HEADS}
          rows={all.map((one) => ({
            key: one.mid,
            cells: [
              one.etype,
              <Time key="since" ms={one.since * 1000} ago />,
              sizeOf(one.bytes),
              one.tries,
              <span key="stands" className={one.is_failed ? 'bad' : ''}>
                {one.is_failed ? 'given up' : 'waits'}
                {one.error && `: ${one.error}`}
                {one.next_try ? (
                  <>
                    {' '}
                    next try <Time ms={one.next_try * 1000} ago />
                  </>
                ) : null}
              </span>,
              one.is_failed && may('ext.sub') && (
                <button key="again" type="button" disabled={again.isPending} onClick={() => again.mutate(one.mid)}>
                  Deliver again
                </button>
              ),
            ],
          }))}
        />
      )}
    </section>
  )
}
