import { useState } from 'react'

/** Copies a text, and says so. */
export function Copy({ text, children, className }: { text: string | (() => string); children: React.ReactNode; className?: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(typeof text === 'string' ? text : text())
    setCopied(true)
    setTimeout(() => setCopied(false), 2_000)
  }
  return (
    <button type="button" className={className} onClick={() => void copy()}>
      {copied ? 'Copied' : children}
    </button>
  )
}
