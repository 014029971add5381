import { expect, test } from 'vitest'
import { conditionOptions, conditionsOf, conditionWords } from './conditions.ts'

test('a window of local time is asked for, said in words, and copied as options', () => {
  const conditions = conditionsOf('22:00', '06:30', [4, 5])
  expect(conditions).toEqual({ window: { start_min: 1_320, end_min: 390, weekdays: 0b11_0000 } })
  expect(conditions && conditionWords(conditions)).toBe('between 22:00 and 06:30 of its local time on Fri, Sat')
  expect(conditions && conditionOptions(conditions)).toBe('--window 22:00-06:30 --weekdays fri,sat')
})

test('half a window is none', () => {
  expect(conditionsOf('22:00', '', [])).toBeUndefined()
})
