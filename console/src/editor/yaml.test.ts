import { expect, test } from 'vitest'
import { problemOfServer, readYaml, writeYaml } from './yaml.ts'

const RULE = `detect:
  event: NEW_PROCESS
  op: and
  rules:
    - op: is
      path: event/FILE_PATH
      value: /bin/nc
    - op: sounds like
      path: event/COMMAND_LINE
respond:
  - action: report
`

test('a place of the server is found in the text, with its line and column', () => {
  const { find, value } = readYaml(RULE)
  expect(value).toMatchObject({ detect: { rules: [{ op: 'is' }, { op: 'sounds like' }] } })
  const problem = problemOfServer(RULE, find, 'invalid rule: detect/rules/1/op: unknown operator: sounds like; write contains')
  expect([problem.line, problem.column, problem.message]).toEqual([8, 11, 'unknown operator: sounds like; write contains'])
  expect(RULE.slice(problem.from, problem.to)).toBe('sounds like')
})

test('a key that is not there leads to what should hold it', () => {
  const { find } = readYaml(RULE)
  const problem = problemOfServer(RULE, find, 'invalid rule: detect/rules/1/value: missing value')
  expect(problem.line).toBe(8)
  expect(problemOfServer(RULE, find, 'data must be an object').line).toBe(1)
})

test('what is no YAML is marked where it ends to be it', () => {
  const { problems, value } = readYaml('detect:\n  op: [is\nrespond: []\n')
  expect(value).toBeUndefined()
  expect(problems[0]?.line).toBeGreaterThan(1)
})

test('anchors do not make a large value of a short text', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, at) => `${name}: &${name} [${`*${'abcdefg'[at]},`.repeat(9)}]`),
  ]
  expect(readYaml(bomb.join('\n')).problems).toHaveLength(1)
})

test('what is written is read as the same', () => {
  const value = { detect: { op: 'is', value: 'yes', path: 'event/*/NAME' }, respond: [{ action: 'report', name: 'a: b' }] }
  expect(readYaml(writeYaml(value)).value).toEqual(value)
})
