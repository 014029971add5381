import type { Attachment } from './attachment.ts'

export interface Entry {
  ts: number
  msg: string
  is_important?: boolean
  attachments?: Attachment[]
}
/** A job of a service, as the server keeps it. */
export interface Job {
  job_id: string
  cause: string
  created: number
  stopped?: number
  last_change: number
  last_narration: string
  sids: string[]
  replicant: string
  record?: { hist: Entry[] }
}
