import { Copy } from './Copy.tsx'
import { curlOf } from './curl.ts'

interface Props {
  /** The same with the command line. */
  cli: () => string
  /** What is read, and with which fields. */
  path: string
  fields?: () => Record<string, string | number | boolean | undefined>
}

/** What the page shows, as a line to type. */
export function CopyAs({ cli, path, fields = () => ({}) }: Props) {
  return (
    <>
      <Copy text={cli}>Copy as CLI</Copy>
      <Copy text={() => curlOf(location.origin, 'GET', path, fields())}>Copy as curl</Copy>
    </>
  )
}
