import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Program } from '../api/types.ts'
import { Delete } from '../look/Delete.tsx'
import { complain, notify } from '../look/notices.tsx'

interface Props {
  kind: 'service' | 'extension'
  name: string
  /** What is known of it; absent for one that is built in. */
  program?: Program | undefined
  /** Of one that is built in. */
  isSubscribed?: boolean
  changed: () => void
}

/** Whether the organization is subscribed to a program, and what its owner can do with it. */
export function Acts({ kind, name, program, isSubscribed = program?.is_subscribed ?? false, changed }: Props) {
  const { oid, org, may } = useOrganization()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const one = `/v1/${kind}s/${oid}/${encodeURIComponent(name)}`
  const subscription = kind === 'service' ? `${one}/subscription` : `/v1/orgs/${oid}/subscription/extension/${encodeURIComponent(name)}`
  const act = useMutation({
    mutationFn: ({ method, path }: { method: string; path: string; said: string }) => call(method, path),
    onSuccess: (_, { said }) => notify(said),
    onError: (error) => complain(`${name} did not`, error),
    onSettled: changed,
  })
  const button = (does: string, method: string, path: string, said: string, className = '') => (
    <button type="button" className={className} disabled={act.isPending} onClick={() => act.mutate({ method, path, said })}>
      {does}
    </button>
  )
  const leave = async () => {
    // What is still being asked about it would find it gone.
    await queries.cancelQueries()
    await call('DELETE', one)
  }
  return (
    <>
      {program?.is_own && kind === 'service' && button('Ask how it is', 'POST', `${one}/health`, `${name} answered.`)}
      {program?.is_own && kind === 'extension' && button('Ask what it offers', 'POST', `${one}/schema`, `${name} answered.`)}
      {!isSubscribed && may('ext.sub') && button('Subscribe', 'POST', subscription, `The organization is subscribed to ${name}.`, 'prime')}
      {isSubscribed && may('ext.sub') && (
        <>
          {program && button('New key', 'PATCH', subscription, `${name} has a new key; the old one is void.`)}
          <Delete name={name} does="Unsubscribe" remove={() => call('DELETE', subscription)} then={changed}>
            It is asked and told nothing more here{program ? ', and its key is void. Its jobs and its configuration stay' : ''}.
          </Delete>
        </>
      )}
      {program?.is_own && may('ext.sub') && (
        <Delete name={name} remove={leave} then={() => navigate({ to: `/$org/${kind}s`, params: { org } })}>
          Every subscription to it ends, in every organization. What waits for it is forgotten.
        </Delete>
      )}
    </>
  )
}
