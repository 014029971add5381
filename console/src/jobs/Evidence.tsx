import { Copy } from '../look/Copy.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { type Attachment, shownOf } from './attachment.ts'

/** A piece of evidence: its caption, and what it holds when it is opened. */
export function Evidence({ attachment }: { attachment: Attachment }) {
  const shown = shownOf(attachment)
  const caption = attachment.caption || attachment.att_type || 'Attachment'
  return (
    <details className="event">
      <summary>
        {caption} <span className="soft">{attachment.att_type}</span>
      </summary>
      {'heads' in shown ? (
        <ListTable
          label={caption}
          heads={shown.heads.map((name) => ({ name }))}
          rows={shown.rows.map((cells, at) => ({ key: String(at), cells }))}
        />
      ) : (
        <pre className="code" tabIndex={0} role="region" aria-label={caption}>
          {shown.text}
        </pre>
      )}
      <Copy text={() => ('text' in shown ? shown.text : JSON.stringify(attachment, null, 2))}>Copy</Copy>
    </details>
  )
}
