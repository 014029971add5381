import type { UseQueryResult } from '@tanstack/react-query'
import { Failure as Refusal } from '../api/client.ts'
import { Empty, Failure } from './Failure.tsx'

/** Whether what was read is not there, or not any more. What only failed to come keeps what is shown of it. */
export const isGone = (of: UseQueryResult<unknown>) => of.error instanceof Refusal && of.error.isGone

interface Props {
  of: UseQueryResult<unknown>
  /** What is read, as the beginning of “… could not be read”. */
  what: string
  /** Says that there is no such thing, where one thing is read. */
  gone?: string
}

/** Stands for what a page reads until it is there: a placeholder first, why not if it fails, with another try. */
export function Reading({ of, what, gone }: Props) {
  if (of.isLoading)
    return (
      <div className="loading" role="status" aria-label={`${what}: on the way`}>
        <span className="blank" />
        <span className="blank" />
        <span className="blank" />
      </div>
    )
  if (!of.error) return null
  if (gone && isGone(of)) return <Empty title={gone} />
  return <Failure what={`${what} could not be read`} error={of.error} again={() => void of.refetch()} />
}
