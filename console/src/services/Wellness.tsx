import type { Service } from '../api/types.ts'

/** Whether a service answers, as a word, a shape and a colour. */
export function Wellness({ service }: { service: Service }) {
  if (service.is_well)
    return (
      <span className="state on" data-shape="●">
        well
      </span>
    )
  return (
    <span className={`state ${service.error ? 'bad' : 'off'}`} data-shape={service.error ? '✕' : '○'}>
      {service.error || 'not asked yet'}
    </span>
  )
}
