// Evidence that a job holds, as what is shown of it. It is text, whatever it says.

export interface Attachment {
  att_type?: string
  caption?: string
  [field: string]: unknown
}
export type Shown = { text: string } | { heads: string[]; rows: string[][] }

const PER_LINE = 16
/** Bytes of a dump that are drawn; the rest is in the JSON of the job. */
const DUMPED_MAX = 16 * 1024

/** Offset, bytes and letters, sixteen a line, as `hexdump -C` writes them. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < Math.min(bytes.length, DUMPED_MAX); at += PER_LINE) {
    const part = [...bytes.subarray(at, at + PER_LINE)]
    const hex = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const letters = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(PER_LINE * 3 - 1)}  |${letters}|`)
  }
  if (bytes.length > DUMPED_MAX) lines.push(`… ${bytes.length - DUMPED_MAX} bytes more`)
  return lines.join('\n')
}

const written = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))

/** What is shown of an attachment; of a kind that is not known, all that it holds. */
export function shownOf(attachment: Attachment): Shown {
  const { att_type, caption, data, headers, rows, ...others } = attachment
  if (att_type === 'table' && Array.isArray(headers) && Array.isArray(rows)) {
    const heads = headers.map(String)
    const cells = (row: unknown) => (Array.isArray(row) ? row : [row])
    return { heads, rows: rows.map((row) => heads.map((_, at) => written(cells(row)[at] ?? '') ?? '')) }
  }
  if (att_type === 'hex_dump' && typeof data === 'string') {
    try {
      return { text: hexDump(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))) }
    } catch {
      return { text: data }
    }
  }
  if (data !== undefined) return { text: written(data) ?? '' }
  return { text: written({ ...others, headers, rows }) ?? '' }
}
