import { useEffect, useRef, useSyncExternalStore } from 'react'
import { type Heard, LiveSocket, type Wire } from './socket.ts'

let whenOver = () => {}
/** Sets what happens when the server ends the connection because the session is over. */
export function whenLiveIsOver(then: () => void) {
  whenOver = then
}

const address = () => `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/console/live`
export const live = new LiveSocket(
  () => new WebSocket(address()) as Wire,
  Math.random,
  () => whenOver(),
)

const version = () => `${live.state} ${live.lostAt}`
/** The state of the live connection. */
export function useLiveState() {
  useSyncExternalStore((changed) => live.watch(changed), version)
  return { state: live.state, lostAt: live.lostAt }
}

/** Subscribes to a topic while the component is shown; `args` undefined is no subscription. */
export function useTopic(topic: string, args: unknown, heard: Heard) {
  const latest = useRef(heard)
  latest.current = heard
  const key = args === undefined ? undefined : JSON.stringify(args)
  useEffect(() => {
    if (key === undefined) return
    return live.subscribe(topic, JSON.parse(key), {
      rows: (rows) => latest.current.rows?.(rows),
      gap: (missed) => latest.current.gap?.(missed),
      end: (why) => latest.current.end?.(why),
    })
  }, [topic, key])
}
