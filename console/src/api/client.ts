/** What the server said instead of an answer. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter = 0,
    /** By which the log of the server is searched. */
    readonly requestId = '',
  ) {
    super(message)
  }
  /** The session is over: the shell asks to sign in again, over the page. */
  get isSignedOut() {
    return this.status === 401 && this.code !== 'missing_permission' && this.code !== 'wrong_password'
  }
  /** What was asked for is not there, or not any more. Hives say so with a status of their own. */
  get isGone() {
    return this.status === 404 || this.code === 'RECORD_NOT_FOUND'
  }
  /** The name of a permission that is missing. */
  get missing() {
    return this.code === 'missing_permission' ? this.message.replace(/^missing permission: /, '') : ''
  }
}

export type Fields = Record<string, string | number | boolean | readonly string[] | undefined>

function encoded(fields: Fields): URLSearchParams {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const one of value) form.append(name, one)
    else if (value !== undefined && value !== '') form.append(name, String(value))
  }
  return form
}

let onSignedOut = () => {}
/** Sets what happens when any call finds the session over. */
export function whenSignedOut(then: () => void) {
  onSignedOut = then
}

async function send<T>(method: string, path: string, body: BodyInit | undefined, signal?: AbortSignal): Promise<T> {
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      headers: {
        accept: 'application/json',
        ...(method === 'GET' ? {} : { 'x-muster-console': '1' }),
        ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}),
      },
      body: body ?? null,
      signal: signal ?? null,
      credentials: 'same-origin',
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Failure(0, '', 'the server cannot be reached')
  }
  const isJson = answer.status !== 204 && answer.headers.get('content-type')?.includes('json')
  const value = isJson ? await answer.json() : undefined
  if (answer.ok) return value as T
  const failure = new Failure(
    answer.status,
    value?.error_code ?? '',
    value?.error ?? (answer.statusText || `HTTP ${answer.status}`),
    Number(answer.headers.get('retry-after') ?? 0),
    answer.headers.get('x-request-id') ?? '',
  )
  if (failure.isSignedOut && !path.startsWith('/console/api/sign-in')) onSignedOut()
  throw failure
}

/** Calls the server. Fields go into the query of a GET and into the form of everything else. */
export function call<T>(method: string, path: string, fields: Fields = {}, signal?: AbortSignal): Promise<T> {
  const form = encoded(fields)
  if (method !== 'GET') return send<T>(method, path, form, signal)
  return send<T>(method, form.size ? `${path}?${form}` : path, undefined, signal)
}

/** Posts what is no form of texts: a value, as JSON, or a form with files. */
export const post = <T>(path: string, value: object, signal?: AbortSignal) =>
  send<T>('POST', path, value instanceof FormData ? value : JSON.stringify(value), signal)

/** Asks the extension that holds reliable tasks. */
export const reliableTasking = <T>(oid: string, action: string, data: object, signal?: AbortSignal) =>
  call<T>('POST', '/v1/extension/request/ext-reliable-tasking', { oid, action, data: JSON.stringify(data) }, signal).then(
    (answer) => (answer as { data?: T }).data ?? answer,
  )
