// What the server answers, as far as the console reads it. Written by hand: docs/openapi.json has no schemas of answers yet.

export interface Organization {
  oid: string
  name: string
  permissions: string[]
}
export interface Session {
  user: string
  organizations: Organization[]
  version: string
  /** Milliseconds since 1970, by the server's clock. */
  time: number
}
export interface OwnSession {
  id: string
  is_this: boolean
  created: number
  seen: number
  source: string | null
  agent: string
}
export interface Link {
  purpose: 'new-user' | 'password' | 'sign-in'
  user: string
  expires: number
}
