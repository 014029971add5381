// Carries out what a line asks for, and gives what is to be shown of it.

import type { LiveCommand } from '../api/types.ts'
import { sizeOf } from '../look/size.ts'
import { type Conversation, download, type Entry, isFolder } from './conversation.ts'
import { HELP, type Wish } from './line.ts'
import { baseOf, inside } from './path.ts'

/** Of what a program wrote, so much is shown; the rest is in the file. */
const SHOWN_BYTES_MAX = 256 * 1024

export interface Place {
  folder: string
  separator: string
}

const entryLine = (entry: Entry) =>
  `${entry.last_write_time}  ${(isFolder(entry) ? '' : sizeOf(entry.size)).padStart(10)}  ${entry.filename}${isFolder(entry) ? '/' : ''}`

async function list(conversation: Conversation, path: string, separator: string): Promise<Entry[]> {
  const entries = await conversation.entries(path)
  const only = entries.length === 1 ? entries[0] : undefined
  return isFolder(only) && !/[*?]/.test(path) ? conversation.entries(inside(path, separator)) : entries
}

async function run(conversation: Conversation, line: string, { folder, separator }: Place): Promise<string> {
  const name = `muster-live-${crypto.randomUUID()}.txt`
  const kept = separator === '/' ? `/tmp/${name}` : `C:\\Windows\\Temp\\${name}`
  const ran = await conversation.order('create process', { path: line, wait: true, working_directory: folder, output_file: kept })
  const { return_code: code } = ran.process_details as { return_code: number | null }
  const { href, file } = await conversation.bring(kept)
  await conversation.order('delete file', { path: kept })
  const answer = await fetch(href, { credentials: 'same-origin' })
  const written = new Uint8Array(await answer.arrayBuffer())
  const shown = new TextDecoder().decode(written.subarray(0, SHOWN_BYTES_MAX))
  if (written.length > SHOWN_BYTES_MAX) download(href, file.file_name)
  const rest = written.length > SHOWN_BYTES_MAX ? `\n… ${sizeOf(written.length)} in all; the whole of it is downloaded` : ''
  return `${shown}${shown && !shown.endsWith('\n') ? '\n' : ''}${rest}${code ? `exit code ${code}` : ''}`
}

/** What an order found, as lines. */
export function found(command: LiveCommand): string {
  const pid = (command.process_details as { pid?: number } | undefined)?.pid
  const processes = command.processes.map(
    (one) => `${String(one.process_pid).padStart(8)}  ${one.process_username ?? ''}\t${one.process_cmdline || one.process_path}`,
  )
  const keys = command.sub_keys.map((key) => `${key}\\`)
  const values = [...command.values, ...(command.value ? [command.value as Record<string, unknown>] : [])]
  const lines = [...processes, ...keys, ...values.map((one) => `${one.value_name} = ${JSON.stringify(one.value_data)} (${one.value_type})`)]
  return lines.join('\n') || (pid ? `started as process ${pid}` : 'done')
}

/** Carries a wish out; gives what is to be written, and the folder afterwards. */
export async function carryOut(conversation: Conversation, wish: Wish, place: Place): Promise<{ text: string; folder?: string }> {
  switch (wish.do) {
    case 'nothing':
    case 'clear':
      return { text: '' }
    case 'help':
      return { text: `${HELP}\nF6 leaves the terminal. A session ends by itself when nothing is ordered for a while.` }
    case 'pwd':
      return { text: place.folder }
    case 'exit':
      await conversation.close()
      return { text: '' }
    case 'mistake':
      throw new Error(wish.text)
    case 'ls':
      return { text: (await list(conversation, wish.path, place.separator)).map(entryLine).join('\n') }
    case 'cd': {
      const [entry] = await conversation.entries(wish.path)
      if (!isFolder(entry)) throw new Error(`${wish.path} is no folder`)
      return { text: '', folder: wish.path }
    }
    case 'get': {
      const { href, file } = await conversation.bring(wish.path)
      download(href, baseOf(wish.path))
      return { text: `${baseOf(wish.path)}: ${sizeOf(file.size)}, downloaded` }
    }
    case 'run':
      return { text: await run(conversation, wish.line, place) }
    case 'order':
      return { text: found(await conversation.order(wish.name, wish.fields)) }
  }
}
