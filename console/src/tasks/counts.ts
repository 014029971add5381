// What the counts of a task add up to.

import type { TargetState, Task } from '../api/types.ts'

const OPEN: TargetState[] = ['queued', 'sent', 'confirmed', 'started', 'not_now']
const FAILED: TargetState[] = ['interrupted', 'refused', 'unsupported', 'expired', 'doubled']

const sum = (task: Task, states: TargetState[]) => states.reduce((all, state) => all + (task.counts[state] ?? 0), 0)
/** Targets that have not ended. */
export const openOf = (task: Task) => sum(task, OPEN)
/** Targets that ran and answered with a failure stand among the finished ones. */
export const doneOf = (task: Task) => task.counts.finished ?? 0
export const failedOf = (task: Task) => sum(task, FAILED)
export const goneOf = (task: Task) => (task.counts.removed ?? 0) + (task.counts.cancelled ?? 0)
export const hasEnded = (task: Task) => openOf(task) === 0 && !task.dynamic
