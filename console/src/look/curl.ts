import { quoted } from './quoted.ts'

type Fields = Record<string, string | number | boolean | undefined>

/** A call of the server as a line to type; the token is made by the command line. */
export function curlOf(root: string, method: 'GET' | 'POST', path: string, fields: Fields = {}): string {
  const parts = [`curl -H "Authorization: Bearer $(muster token)"${method === 'GET' ? ' -G' : ''} ${quoted(root + path)}`]
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined && value !== '') parts.push(`--data-urlencode ${quoted(`${name}=${value}`)}`)
  return parts.join(' \\\n  ')
}
