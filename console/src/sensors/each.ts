/** Calls under way at once; a browser opens six connections to a server. */
const AT_ONCE = 4

export interface Progress {
  done: number
  failures: { sid: string; error: unknown }[]
}

/** Acts on each sensor, some at once, until all are done or `isStopped` says so. */
export async function each(
  sids: readonly string[],
  act: (sid: string) => Promise<unknown>,
  tell: (progress: Progress) => void,
  isStopped: () => boolean,
): Promise<Progress> {
  const progress: Progress = { done: 0, failures: [] }
  const left = sids.values()
  const work = async () => {
    for (const sid of left) {
      if (isStopped()) return
      try {
        await act(sid)
      } catch (error) {
        progress.failures.push({ sid, error })
      }
      progress.done += 1
      tell({ ...progress })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return progress
}
