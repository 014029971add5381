import { useEffect, useRef } from 'react'

/** Head of a page: its title, which also names the tab and takes the focus after a navigation. */
export function Head({ title, within, children }: { title: string; within?: string; children?: React.ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = [title, within, 'muster'].filter(Boolean).join(' · ')
  }, [title, within])
  useEffect(() => {
    // Not from under somebody who types.
    if (!document.activeElement || document.activeElement === document.body || document.activeElement.closest('.side'))
      heading.current?.focus()
  }, [])
  return (
    <div className="head">
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {children}
    </div>
  )
}
