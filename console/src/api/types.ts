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

export interface Sensor {
  sid: string
  hostname: string
  plat: number
  arch: number
  is_online: boolean
  alive: string
  enroll: string
  tags: string[]
  int_ip: string
  ext_ip: string
  mac_addr: string
  version: string
  is_isolated: boolean
  should_isolate: boolean
  is_sealed: boolean
  should_seal: boolean
}
export interface SensorPage {
  sensors: Sensor[]
  /** Of all that are listed, if asked for by offset. */
  total: number
}

export const STATES = [
  'queued',
  'sent',
  'confirmed',
  'started',
  'finished',
  'interrupted',
  'refused',
  'not_now',
  'unsupported',
  'expired',
  'removed',
  'cancelled',
  'doubled',
] as const
export type TargetState = (typeof STATES)[number]

export interface Task {
  task_id: string
  task: string
  sensor_selector: string
  context: string | null
  ttl: number
  created: number
  created_by: string
  expiry: number
  total: number
  counts: Record<TargetState, number>
  failures: number
  dynamic: boolean
  urgent: boolean
  paused: boolean
  stopped: boolean
}
export interface Target {
  sid: string
  hostname: string
  state: TargetState
  attempts: number
  online: boolean
  sent: number | null
  confirmed: number | null
  started: number | null
  ended: number | null
  code: number | null
  error: string | null
}
export interface TargetPage extends Task {
  targets: Target[]
  /** Those of the state that was asked for, if asked for by offset. */
  matching: number
  /** Leads to the next page, if there is one. */
  cursor?: string
}
export interface Preview {
  total_sensors: number
  online_sensors: number
  sensors: { sid: string; hostname: string; online: boolean }[]
  selector: string
  explanation: string
}
export interface Explanation {
  code: string
  explanation: string
}

/** An event or a detection, as the server keeps it. */
export interface Row {
  routing?: Record<string, unknown> & { event_type?: string; event_time?: number; sid?: string; hostname?: string; event_id?: string }
  event?: unknown
  [field: string]: unknown
}
