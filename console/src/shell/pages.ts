// The pages of an organization: navigation, palette and keys are read from this table.

export interface Page {
  name: string
  /** Below the organization; empty is its front page. */
  path: string
  group: 'Sensors' | 'Automation' | 'Findings' | 'Platform' | ''
  /** Without this permission the page is not listed. */
  needs?: string
  /** After `g`. */
  key?: string
}

export const PAGES: Page[] = [
  { name: 'Overview', path: '', group: '', key: 'h' },
  { name: 'Sensors', path: 'sensors', group: 'Sensors', needs: 'sensor.list', key: 's' },
  { name: 'Reliable Tasking', path: 'reliable-tasking', group: 'Automation', needs: 'ext.request', key: 't' },
  { name: 'D&R rules', path: 'rules', group: 'Automation', needs: 'dr.list', key: 'r' },
  { name: 'False positives', path: 'false-positives', group: 'Automation', needs: 'fp.ctrl' },
  { name: 'Extensions', path: 'extensions', group: 'Automation' },
  { name: 'Services', path: 'services', group: 'Automation', needs: 'replicant.get' },
  { name: 'Jobs', path: 'jobs', group: 'Automation', needs: 'job.get', key: 'j' },
  { name: 'Detections', path: 'detections', group: 'Findings', needs: 'insight.det.get', key: 'd' },
  { name: 'Outputs', path: 'outputs', group: 'Platform', needs: 'output.list' },
  { name: 'Installation keys', path: 'installation-keys', group: 'Platform', needs: 'ikey.list' },
  { name: 'Payloads and artifacts', path: 'files', group: 'Platform', needs: 'insight.list' },
  { name: 'API keys and users', path: 'users', group: 'Platform', needs: 'apikey.ctrl' },
  { name: 'Audit', path: 'audit', group: 'Platform', needs: 'audit.get', key: 'a' },
  { name: 'Health', path: 'health', group: 'Platform', needs: 'org.get' },
]

export const GROUPS = ['', 'Sensors', 'Automation', 'Findings', 'Platform'] as const

/** Pages that a user may see. */
export const pagesFor = (may: (permission: string) => boolean) => PAGES.filter((page) => !page.needs || may(page.needs))
