import { useState } from 'react'

/** The pages of docs/errors, one for each code; each is fetched when somebody asks. */
const PAGES = import.meta.glob<string>('../../../docs/errors/*.md', { query: '?raw', import: 'default' })

/** What to do about an error, by its code. */
export function Remedy({ code }: { code: string }) {
  const [text, setText] = useState('')
  const page = PAGES[`../../../docs/errors/${code}.md`]
  if (!page) return <code>{code}</code>
  return (
    <details onToggle={() => void page().then(setText, () => setText('The page that says it could not be read.'))}>
      <summary>
        What to do (<code>{code}</code>)
      </summary>
      <pre className="remedy">{text.replace(/^# .*\n+/, '').replaceAll(/\*\*|`/g, '')}</pre>
    </details>
  )
}
