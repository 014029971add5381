// What the server answers, as far as the console reads it: the types of the API description, by the names that the
// console has for them. `npm run types` makes them anew from docs/openapi.json.
import type { components } from '../../generated/api'

type Schemas = components['schemas']

export type Organization = Schemas['SessionOrganization']
export type Session = Schemas['Session']
export type OwnSession = Schemas['OwnSession']
export type Link = Schemas['Link']
export type Sensor = Schemas['Sensor']
/** A page by `offset`, which has a total. */
export type SensorPage = Schemas['SensorPage'] & { total: number }
export type TargetState = Schemas['TargetState']
export type Task = Schemas['TaskSummary']
export type Target = Schemas['Target']
export type TargetPage = Schemas['TaskPage']
export type Preview = Schemas['TaskPreview']
export type Service = Schemas['RegisteredService']
export type Definition = Schemas['ExtensionDefinition']
export type Extension = Schemas['RegisteredExtension']
/** A program of others: a service or an extension. */
export type Program = Service | Extension
export type Command = Schemas['TaskCommand']
export type Deliveries = Schemas['Deliveries']
export type LiveSession = Schemas['LiveSessionV6']
export type LiveCommand = Schemas['LiveCommandV6']
export type LiveFile = Schemas['LiveFile']
export type LiveTranscript = Schemas['LiveTranscript']
export type Replay = Schemas['Replay']
export type OutputStanding = Schemas['OutputStanding']
export type OutputTrial = Schemas['OutputTrial']
export type ServerStanding = Schemas['ServerStanding']
export type UserPermissions = Schemas['UserPermissions']
export type Explanation = Schemas['Explained']

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
] as const satisfies readonly TargetState[]

/** An event or a detection, as the server keeps it. */
export interface Row {
  routing?: Record<string, unknown> & { event_type?: string; event_time?: number; sid?: string; hostname?: string; event_id?: string }
  event?: unknown
  [field: string]: unknown
}
