// The live connection of this tab: one WebSocket, subscriptions of what is on the screen, and what is known of its state.

export type LiveState = 'connecting' | 'live' | 'stale'

export interface Heard {
  /** Rows that changed, the newest state of each. */
  rows?: (rows: unknown[]) => void
  /** Something was missed (records, or the time without a connection): ask the server again. */
  gap?: (missed: number) => void
  /** The subscription cannot go on. */
  end?: (why: string) => void
}

interface Subscription {
  topic: string
  args: unknown
  heard: Heard
}

/** What a socket must do; a real one in the browser, another in tests. */
export interface Wire {
  send(text: string): void
  close(): void
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
}

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 15_000
/** What came is handed on this often at most, so that a burst costs one drawing. */
const HAND_ON_MS = 250
/** Close code of a session that is over. */
export const SIGNED_OUT = 4401

export class LiveSocket {
  state: LiveState = 'connecting'
  /** When the connection was lost, in ms. */
  lostAt = 0
  private wire: Wire | undefined
  private readonly subscriptions = new Map<number, Subscription>()
  private readonly watchers = new Set<() => void>()
  private waiting = new Map<number, unknown[]>()
  private nextId = 1
  private tries = 0
  private wasOpen = false
  private timer: ReturnType<typeof setTimeout> | undefined
  private handing: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly open: () => Wire,
    private readonly random: () => number = Math.random,
    private readonly signedOut: () => void = () => {},
  ) {}

  /** Connects, at once: at the start, when the network is back, when the tab is shown. */
  connect() {
    clearTimeout(this.timer)
    if (this.wire) return
    const wire = this.open()
    this.wire = wire
    wire.onopen = () => {
      this.tries = 0
      this.say('live')
      for (const [id, { topic, args }] of this.subscriptions) this.send({ id, sub: topic, args })
      // Whatever happened in between was not heard.
      if (this.wasOpen) for (const { heard } of this.subscriptions.values()) heard.gap?.(0)
      this.wasOpen = true
    }
    wire.onmessage = (event) => this.hear(String(event.data))
    wire.onclose = (event) => {
      if (this.wire !== wire) return
      this.wire = undefined
      if (this.state !== 'stale') this.lostAt = Date.now()
      this.say('stale')
      if (event.code === SIGNED_OUT) return this.signedOut()
      const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries++)
      this.timer = setTimeout(() => this.connect(), longest * (0.5 + this.random() / 2))
    }
  }

  /** Ends the connection: the tab is hidden, or nobody is signed in. Subscriptions stay for the next one. */
  disconnect() {
    clearTimeout(this.timer)
    const wire = this.wire
    this.wire = undefined
    if (this.state === 'live') this.lostAt = Date.now()
    this.say('stale')
    wire?.close()
  }

  /** Subscribes; gives the function that ends it. */
  subscribe(topic: string, args: unknown, heard: Heard): () => void {
    const id = this.nextId++
    this.subscriptions.set(id, { topic, args, heard })
    if (this.state === 'live') this.send({ id, sub: topic, args })
    return () => {
      if (this.subscriptions.delete(id) && this.state === 'live') this.send({ id, un: true })
    }
  }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher)
    return () => {
      this.watchers.delete(watcher)
    }
  }

  private send(said: unknown) {
    this.wire?.send(JSON.stringify(said))
  }

  private say(state: LiveState) {
    this.state = state
    for (const watcher of this.watchers) watcher()
  }

  private hear(text: string) {
    const said = JSON.parse(text) as { id: number; rows?: unknown[]; gap?: number; end?: string }
    const subscription = this.subscriptions.get(said.id)
    if (!subscription) return
    if (said.gap) subscription.heard.gap?.(said.gap)
    if (said.end !== undefined) {
      this.subscriptions.delete(said.id)
      subscription.heard.end?.(said.end)
    }
    if (!said.rows) return
    this.waiting.set(said.id, [...(this.waiting.get(said.id) ?? []), ...said.rows])
    this.handing ??= setTimeout(() => this.handOn(), HAND_ON_MS)
  }

  private handOn() {
    this.handing = undefined
    const waiting = this.waiting
    this.waiting = new Map()
    for (const [id, rows] of waiting) this.subscriptions.get(id)?.heard.rows?.(rows)
  }
}
