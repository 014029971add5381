// What a user chooses of the console itself; kept by the browser.

export type Theme = 'system' | 'light' | 'dark'
const THEME = 'muster-theme'
const KEYS = 'muster-single-keys'

export function chosenTheme(): Theme {
  const kept = localStorage.getItem(THEME)
  return kept === 'light' || kept === 'dark' ? kept : 'system'
}
export function applyTheme(theme: Theme) {
  localStorage.setItem(THEME, theme)
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

/** Keys without Ctrl can be switched off: WCAG 2.2, 2.1.4. */
export const hasSingleKeys = () => localStorage.getItem(KEYS) !== 'off'
export const setSingleKeys = (on: boolean) => localStorage.setItem(KEYS, on ? 'on' : 'off')
