// What is said to an endpoint in a live session: orders, and what comes of them.

import { call, Failure, post } from '../api/client.ts'
import type { LiveCommand, LiveFile, LiveSession } from '../api/types.ts'
import { baseOf } from './path.ts'

/** After this the server is asked again, if it could not be reached. */
const AGAIN_MS = 1_000
/** An order that ends at once is seen after so long; one that takes longer is waited for. */
const OVER = new Set(['COMPLETE', 'ERROR', 'CANCELLED'])

export interface Entry {
  filename: string
  attributes: string[]
  size: number
  last_write_time: string
}
export const isFolder = (entry: Entry | undefined) => entry?.attributes.includes('DIRECTORY') ?? false

const pause = (ms: number) => new Promise((go) => setTimeout(go, ms))
export const sessionsPath = (oid: string) => `/appservices/v6/orgs/${oid}/liveresponse/sessions`

/** The session is over, for whatever reason. */
export class SessionOver extends Error {
  constructor() {
    super('the session is over')
  }
}

/** What an endpoint refused, in its own words. */
export class Refused extends Error {
  constructor(readonly command: LiveCommand) {
    super(command.status === 'CANCELLED' ? 'it was cancelled' : command.result_desc || `error ${command.result_code}`)
  }
}

export class Conversation {
  /** Orders that this page gave: they are not told again as those of others. */
  readonly own = new Set<number>()
  private readonly path: string

  constructor(
    oid: string,
    readonly session: LiveSession,
  ) {
    this.path = `${sessionsPath(oid)}/${session.id}`
  }

  private async reach<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        if (error.status === 404) throw new SessionOver()
        if (error.status !== 0 && error.status < 500) throw error
        await pause(AGAIN_MS)
      }
    }
  }

  /** Gives an order and waits for what comes of it. An order is given once: it is not repeated if that fails. */
  async order(name: string, fields: Record<string, unknown> = {}): Promise<LiveCommand> {
    const given = await post<LiveCommand>(`${this.path}/commands`, { name, ...fields }).catch((error) => {
      throw error instanceof Failure && error.status === 404 ? new SessionOver() : error
    })
    this.own.add(given.id)
    let command = given
    while (!OVER.has(command.status))
      command = await this.reach(() => call<LiveCommand>('GET', `${this.path}/commands/${given.id}`, { wait: true }))
    if (command.status !== 'COMPLETE') throw new Refused(command)
    return command
  }

  /** Orders of the session, whoever gave them. */
  commands = () => call<LiveCommand[]>('GET', `${this.path}/commands`)

  /** What is in a folder, but for itself and the one above; or one entry; or what matches. */
  async entries(path: string): Promise<Entry[]> {
    const { files } = await this.order('directory list', { path })
    return (files as unknown as Entry[]).filter(({ filename }) => filename !== '.' && filename !== '..')
  }

  /** Brings a file of the endpoint to the server; gives where it can be had from. */
  async bring(path: string): Promise<{ href: string; file: LiveFile }> {
    const command = await this.order('get file', { path })
    const { file_id } = command.file_details as { file_id: string }
    const at = `${this.path}/files/${file_id}`
    return { href: `${at}/content`, file: await call<LiveFile>('GET', at) }
  }

  /** Sends a file to the endpoint. It can be cancelled until the server has all of it and tells the endpoint. */
  async send(file: File, to: string, signal: AbortSignal): Promise<LiveFile> {
    const form = new FormData()
    form.append('file', file, baseOf(file.name))
    const kept = await post<LiveFile>(`${this.path}/files`, form, signal)
    signal.throwIfAborted()
    await this.order('put file', { path: to, file_id: kept.id })
    return kept
  }

  close = () => call('DELETE', this.path)
}

/** Gives the user a file that the server has. */
export function download(href: string, name: string) {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  link.click()
}
