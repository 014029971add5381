import { expect, test } from 'vitest'
import { each } from './each.ts'

test('each sensor is acted on once, some at once, and failures are kept', async () => {
  const seen: string[] = []
  let underWay = 0
  let most = 0
  const act = async (sid: string) => {
    seen.push(sid)
    underWay += 1
    most = Math.max(most, underWay)
    await new Promise((go) => setTimeout(go))
    underWay -= 1
    if (sid === '3') throw new Error('offline')
  }
  const told: number[] = []
  const sids = Array.from({ length: 20 }, (_, at) => String(at))
  const { done, failures } = await each(
    sids,
    act,
    (progress) => told.push(progress.done),
    () => false,
  )
  expect([done, failures.map((one) => one.sid), most]).toEqual([20, ['3'], 4])
  expect(seen.sort()).toEqual(sids.sort())
  expect(told.at(-1)).toBe(20)
})

test('nothing more is begun after it was stopped', async () => {
  let count = 0
  const { done } = await each(
    Array.from({ length: 100 }, String),
    async () => {
      count += 1
    },
    () => {},
    () => count >= 8,
  )
  expect(done).toBeLessThan(12)
})
