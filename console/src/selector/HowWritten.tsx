const EXAMPLES = `plat == linux                          every Linux machine
hostname matches "^web-"               names that begin with web-
"prod" in tags and not isolated        with the tag prod, and not cut off
plat == windows or plat == macos       one of several`

/** Selectors as examples, for who has not written one yet. */
export function HowWritten() {
  return (
    <details>
      <summary>How it is written</summary>
      <pre className="code ruled" tabIndex={0}>
        {EXAMPLES}
      </pre>
    </details>
  )
}
