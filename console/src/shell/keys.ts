import { useEffect, useRef } from 'react'
import type { Page } from './pages.ts'
import { hasSingleKeys } from './settings.ts'

export interface Acts {
  palette: () => void
  help: () => void
  go: (page: Page) => void
  pages: Page[]
}

/** After `g`, the next key names a page for this long. */
const AFTER_G_MS = 1_500

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || target.shadowRoot !== null || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

/** Keys of the whole console. Matched by what the key writes, whatever the layout. */
export function useKeys(acts: Acts) {
  const latest = useRef(acts)
  latest.current = acts
  useEffect(() => {
    let afterG = 0
    const press = (event: KeyboardEvent) => {
      const { palette, help, go, pages } = latest.current
      if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
        event.preventDefault()
        palette()
        return
      }
      const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey
      if (!isPlain || isTyping(event.target) || document.querySelector('dialog[open]') || !hasSingleKeys()) return
      if (afterG && Date.now() - afterG < AFTER_G_MS) {
        afterG = 0
        const page = pages.find((one) => one.key === event.key)
        if (page) go(page)
      } else if (event.key === 'g') afterG = Date.now()
      else if (event.key === '?') help()
      else if (event.key === '/') {
        const filter = document.querySelector<HTMLElement>('[data-filter]')
        if (!filter) return
        event.preventDefault()
        filter.focus()
      }
    }
    window.addEventListener('keydown', press)
    return () => window.removeEventListener('keydown', press)
  }, [])
}
