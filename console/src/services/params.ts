// What a service declares of its requests, as the schema of a form.

import type { ObjectSchema } from '../schema/form.ts'

interface Param {
  type?: string
  desc?: string
  values?: string[] | null
  is_required?: boolean
  index?: number
}

const TYPES: Record<string, string> = { int: 'integer', float: 'integer', bool: 'bool' }
/** The one field of a request of which nothing is declared. */
export const WHOLE = 'request'

/** The form for a request. A service that declares nothing is asked for whatever one writes. */
export function formOf(params: unknown): ObjectSchema {
  const declared = Object.entries((params ?? {}) as Record<string, Param>)
  if (!declared.length) return { fields: { [WHOLE]: { data_type: 'object', label: 'Request', default_value: {} } } }
  const fields = declared.map(([name, param]) => [
    name,
    {
      data_type: TYPES[param.type ?? ''] ?? 'string',
      description: param.desc ?? null,
      enum_values: param.values ?? null,
      display_index: param.index ?? null,
    },
  ])
  return { fields: Object.fromEntries(fields), requirements: declared.flatMap(([name, param]) => (param.is_required ? [[name]] : [])) }
}
