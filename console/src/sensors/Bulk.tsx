import { useQuery } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { Confirm, Dialog } from '../look/Dialog.tsx'
import { notify } from '../look/notices.tsx'
import { Reading } from '../look/Reading.tsx'
import { counted } from '../look/words.ts'
import { each, type Progress } from './each.ts'
import { sidsOf } from './sidsOf.ts'
import type { Which } from './which.ts'

export interface BulkAct {
  /** What it does, as on its button. */
  does: string
  means: string
  act: (sid: string) => Promise<unknown>
}

/** Asks, and then does one thing to each of many sensors: to those that matched when it asked, and no others. */
export function Bulk({ which, bulk, close, changed }: { which: Which; bulk: BulkAct; close: () => void; changed: () => void }) {
  const [progress, setProgress] = useState<Progress>()
  const stopped = useRef(false)
  const found = useQuery({
    queryKey: ['bulk', which],
    queryFn: ({ signal }) => sidsOf(which, signal),
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  })
  const sids = found.data
  const go = async () => {
    if (!sids) return
    setProgress({ done: 0, failures: [] })
    const { done, failures } = await each(sids, bulk.act, setProgress, () => stopped.current)
    changed()
    if (!failures.length) {
      notify(`${bulk.does}: ${counted(done, 'sensor')}${done < sids.length ? ` of ${sids.length}; you stopped it` : ''}.`)
      close()
    }
  }
  if (!sids || progress)
    return (
      <Dialog title={bulk.does} onClose={close}>
        <Reading of={found} what="The sensors" />
        {sids && progress && (
          <>
            <p role="status">
              {progress.done.toLocaleString('en')} of {counted(sids.length, 'sensor')}
            </p>
            <progress max={sids.length} value={progress.done} aria-label={bulk.does} />
            {progress.failures.slice(0, 5).map(({ sid, error }) => (
              <p key={sid} className="bad">
                <code>{sid}</code>: {(error as Error).message}
              </p>
            ))}
            {progress.failures.length > 5 && <p className="bad">and {progress.failures.length - 5} more</p>}
          </>
        )}
        <div className="actions">
          <button
            type="button"
            onClick={() => {
              stopped.current = true
              if (progress?.done === sids?.length || !progress) close()
            }}
          >
            {progress && progress.done < (sids?.length ?? 0) ? 'Stop' : 'Close'}
          </button>
        </div>
      </Dialog>
    )
  return (
    <Confirm
      title={`${bulk.does}: ${counted(sids.length, 'sensor')}`}
      does={bulk.does}
      word={String(sids.length)}
      onYes={() => void go()}
      onClose={close}
    >
      <p>{bulk.means}</p>
      <p>It reaches the {counted(sids.length, 'sensor')} that match now, and none that match later.</p>
    </Confirm>
  )
}
