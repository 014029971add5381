import { beforeEach, expect, test, vi } from 'vitest'
import { LiveSocket, SIGNED_OUT, type Wire } from './socket.ts'

class FakeWire implements Wire {
  sent: unknown[] = []
  closed = false
  onopen: Wire['onopen'] = null
  onmessage: Wire['onmessage'] = null
  onclose: Wire['onclose'] = null
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close() {
    this.closed = true
  }
  tell(value: unknown) {
    this.onmessage?.({ data: JSON.stringify(value) })
  }
}

let wires: FakeWire[]
const last = () => wires[wires.length - 1] as FakeWire
const fresh = (signedOut = () => {}) =>
  new LiveSocket(
    () => {
      wires.push(new FakeWire())
      return last()
    },
    () => 1,
    signedOut,
  )

beforeEach(() => {
  wires = []
  vi.useFakeTimers()
})

test('subscriptions made before the connection are sent with it, and rows come once per interval', () => {
  const socket = fresh()
  const rows: unknown[][] = []
  socket.subscribe('sensors', { sids: ['a'] }, { rows: (some) => rows.push(some) })
  socket.connect()
  last().onopen?.()
  expect(last().sent).toEqual([{ id: 1, sub: 'sensors', args: { sids: ['a'] } }])
  last().tell({ id: 1, rows: [1] })
  last().tell({ id: 1, rows: [2, 3] })
  expect(rows).toEqual([])
  vi.advanceTimersByTime(250)
  expect(rows).toEqual([[1, 2, 3]])
})

test('a lost connection is stale at once, comes back after growing waits, and tells of the gap', () => {
  const socket = fresh()
  const gaps: number[] = []
  socket.subscribe('detections', {}, { gap: (missed) => gaps.push(missed) })
  socket.connect()
  last().onopen?.()
  expect(gaps).toEqual([])
  for (const wait of [500, 1_000, 2_000]) {
    const before = wires.length
    last().onclose?.({ code: 1006 })
    expect(socket.state).toBe('stale')
    vi.advanceTimersByTime(wait - 1)
    expect(wires.length).toBe(before)
    vi.advanceTimersByTime(1)
    expect(wires.length).toBe(before + 1)
  }
  last().onopen?.()
  expect(socket.state).toBe('live')
  expect(gaps).toEqual([0])
  last().tell({ id: 1, gap: 7 })
  expect(gaps).toEqual([0, 7])
})

test('a session that is over is told, and the socket does not knock again', () => {
  const over = vi.fn()
  const socket = fresh(over)
  socket.connect()
  last().onopen?.()
  last().onclose?.({ code: SIGNED_OUT })
  vi.advanceTimersByTime(60_000)
  expect(over).toHaveBeenCalledOnce()
  expect(wires.length).toBe(1)
})

test('an ended subscription hears nothing more, and is not asked for again', () => {
  const socket = fresh()
  const rows = vi.fn()
  const stop = socket.subscribe('events', {}, { rows })
  socket.connect()
  last().onopen?.()
  last().tell({ id: 1, rows: [1] })
  stop()
  vi.advanceTimersByTime(250)
  expect(rows).not.toHaveBeenCalled()
  expect(last().sent[1]).toEqual({ id: 1, un: true })
  socket.disconnect()
  socket.connect()
  last().onopen?.()
  expect(last().sent).toEqual([])
})
