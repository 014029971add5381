import { useIsMutating, useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { Confirm } from './Dialog.tsx'
import { complain, notify } from './notices.tsx'

interface Props {
  /** What is deleted, as the user calls it. */
  name: string
  /** What follows from it. */
  children: React.ReactNode
  remove: () => Promise<unknown>
  /** What comes after it; the deletion is not over before that is. */
  then: () => unknown
  does?: string
}

/** Whether something is being deleted: whoever shows it asks about it no more. */
export const useIsLeaving = (name: string) => useIsMutating({ mutationKey: ['Delete', name] }) > 0

/** A button that asks, and then deletes. */
export function Delete({ name, children, remove, then, does = 'Delete' }: Props) {
  const [isAsking, setAsking] = useState(false)
  const deletion = useMutation({
    mutationKey: [does, name],
    mutationFn: remove,
    onSuccess: () => {
      notify(`${name}: gone.`)
      return then()
    },
    onError: (error) => complain(`${name} stays`, error),
    onSettled: () => setAsking(false),
  })
  return (
    <>
      <button type="button" aria-label={`${does} ${name}`} onClick={() => setAsking(true)}>
        {does}…
      </button>
      {isAsking && (
        <Confirm
          title={`${does} ${name}?`}
          does={does}
          busy={deletion.isPending}
          onYes={() => deletion.mutate()}
          onClose={() => setAsking(false)}
        >
          <p>{children}</p>
        </Confirm>
      )}
    </>
  )
}
