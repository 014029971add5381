import { useQuery } from '@tanstack/react-query'
import { type Failure as Refusal, reliableTasking } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Command } from '../api/types.ts'
import { useSettled } from '../look/useSettled.ts'

/** A line that is being typed is checked after this time: its beginning is wrong until it is finished. */
const TRY_AFTER_MS = 600

interface Answer {
  commands: Command[]
}
export interface Judged {
  /** The commands that there are. */
  all: Command[]
  /** The one that the line begins with. */
  known: Command | undefined
  /** The server's sentence about what is wrong with the line. */
  mistake: string | undefined
}

/** What is known of a command line while it is typed; the server checks it as the sensor will. */
export function useCommand(typed: string): Judged {
  const { oid } = useOrganization()
  const line = useSettled(typed.trim(), TRY_AFTER_MS)
  const all = useQuery({
    queryKey: ['commands', oid],
    queryFn: ({ signal }) => reliableTasking<Answer>(oid, 'commands', {}, signal),
    enabled: oid !== '',
    staleTime: Infinity,
  })
  const checked = useQuery({
    queryKey: ['command', oid, line],
    queryFn: ({ signal }) => reliableTasking<Answer>(oid, 'commands', { task: line }, signal),
    enabled: oid !== '' && line !== '',
    retry: false,
    staleTime: Infinity,
  })
  const isSettled = line === typed.trim() && line !== ''
  const commands = all.data?.commands ?? []
  const name = typed.trim().split(/\s/)[0]
  return {
    all: commands,
    known: commands.find((one) => one.name === name),
    mistake: isSettled && checked.error ? (checked.error as Refusal).message : undefined,
  }
}
