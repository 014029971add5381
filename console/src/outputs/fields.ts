// What can be set in an output: where it sends to, which records, and how they look.

export interface Field {
  name: string
  label: string
  about?: string
  example?: string
  input: 'text' | 'secret' | 'number' | 'lines' | 'check'
}

/** What can be sent, with what it is. */
export const STREAMS: Record<string, string> = {
  detect: 'What rules report.',
  event: 'Everything that sensors tell.',
  audit: 'Who did what in this organization.',
  deployment: 'Sensors that enrol, come and go.',
  artifact: 'Files and logs that were collected.',
  tailored: 'What rules send to this output by its name.',
}
/** How, by module. */
export const WAYS: Record<string, string> = {
  webhook: 'A request for each record.',
  webhook_bulk: 'Many records in one request.',
  syslog: 'A line for each record.',
  file: 'Files on the machine of the server.',
}

const text = (name: string, label: string, example = '', about = ''): Field => ({ name, label, example, about, input: 'text' })
const number = (name: string, label: string, about = ''): Field => ({ name, label, about, input: 'number' })
const lines = (name: string, label: string, about = ''): Field => ({ name, label, about, input: 'lines' })
const check = (name: string, label: string): Field => ({ name, label, input: 'check' })

const WEBHOOK: Field[] = [
  text('dest_host', 'Address', 'https address that takes JSON'),
  {
    name: 'secret_key',
    label: 'Secret for its signature',
    about:
      'Yours to choose. By it the receiver knows that a request is from here: its header lc-signature is the HMAC-SHA256 of the data, in hexadecimal.',
    input: 'secret',
  },
  text('auth_header_name', 'Header to send with it', 'authorization'),
  { name: 'auth_header_value', label: 'What stands in that header', input: 'secret' },
]
const EVERY_S = number('sec_per_file', 'Seconds that are put together')

/** By module: where it sends to. */
export const DESTINATIONS: Record<string, Field[]> = {
  webhook: WEBHOOK,
  webhook_bulk: [...WEBHOOK, EVERY_S, check('is_json_list', 'A batch is one JSON list, not lines')],
  syslog: [
    text('dest_host', 'Host and port', 'syslog.example.org:601'),
    check('is_tls', 'By TLS'),
    check('is_strict_tls', 'By TLS, and only with a certificate that is valid'),
    check('is_no_header', 'Without a syslog header'),
    text('structured_data', 'Structured data', '', 'Stands in every header.'),
  ],
  file: [
    text('dir', 'Folder below outputs/ of the server', 'detections'),
    EVERY_S,
    check('is_compression', 'Compressed'),
    number('retention_days', 'Days that files are kept', 'Without it they are kept for ever.'),
  ],
}

const OF_SENSORS = [
  text('tag', 'Only of sensors with this tag'),
  lines('tag_black_list', 'Not of sensors with these tags'),
  text('sid', 'Only of the sensor with this id'),
]
const OF_KINDS = [lines('event_white_list', 'Only of these kinds'), lines('event_black_list', 'Not of these kinds')]

/** By stream: which of its records are sent. All that is set must be so. */
export function filtersOf(stream: string): Field[] {
  const sample = number('sample_rate', 'One record of so many', 'Of those that everything else lets through.')
  if (stream !== 'detect') return [...OF_KINDS, ...OF_SENSORS, text('inv_id', 'Only of this investigation'), sample]
  return [
    lines('cat_white_list', 'Only of these kinds', 'Or of kinds that begin so.'),
    lines('cat_black_list', 'Not of these kinds', 'Nor of kinds that begin so.'),
    lines('rule_tag_white_list', 'Only of rules with one of these tags'),
    lines('rule_tag_black_list', 'Not of rules with one of these tags'),
    ...OF_SENSORS,
    text('inv_id', 'Only of this investigation'),
    sample,
  ]
}

/** How a record looks when it leaves. */
export const FORMAT: Field[] = [
  check('is_no_routing', 'Without routing'),
  check('is_payload_as_string', 'The event, or what was detected, as a text'),
  check('is_flat', 'In one level: names of parts joined by /'),
  check('is_prefix_data', 'Below the name of its kind'),
  {
    name: 'custom_transform',
    label: 'Template, or what each field is taken from as JSON',
    input: 'lines',
    example: '{"host": "routing.hostname"}',
  },
]
