import { useSyncExternalStore } from 'react'

/** As in the style sheets. */
const query = matchMedia('(width < 720px)')
const watch = (changed: () => void) => {
  query.addEventListener('change', changed)
  return () => query.removeEventListener('change', changed)
}

/** Whether the window is as narrow as a phone. */
export const usePhone = () => useSyncExternalStore(watch, () => query.matches)
