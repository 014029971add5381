import { Copy } from '../look/Copy.tsx'

/** What came of a request. */
export function Answer({ answer }: { answer: unknown }) {
  const text = JSON.stringify(answer, null, 2)
  return (
    <>
      <h2>Answer</h2>
      <pre className="code" tabIndex={0} role="region" aria-label="Answer">
        {text}
      </pre>
      <div>
        <Copy text={text}>Copy JSON</Copy>
      </div>
    </>
  )
}
