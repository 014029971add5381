import type { TargetState } from '../api/types.ts'

const LOOKS: Record<string, [shape: string, look: string]> = {
  online: ['●', 'on'],
  offline: ['○', 'off'],
  queued: ['○', 'off'],
  sent: ['◔', 'busy'],
  confirmed: ['◑', 'busy'],
  started: ['◕', 'busy'],
  finished: ['●', 'on'],
  interrupted: ['▲', 'warn'],
  refused: ['✕', 'bad'],
  not_now: ['◌', 'warn'],
  unsupported: ['✕', 'bad'],
  expired: ['△', 'warn'],
  removed: ['–', 'off'],
  cancelled: ['–', 'off'],
  doubled: ['✕', 'bad'],
}

/** A state as word, shape and colour. */
export function State({ of, word }: { of: TargetState | 'online' | 'offline'; word?: string }) {
  const [shape, look] = LOOKS[of] ?? ['?', 'off']
  return (
    <span className={`state ${look}`} data-shape={shape}>
      {word ?? of.replace('_', ' ')}
    </span>
  )
}
