import { createContext, useContext } from 'react'
import type { Wrong } from './data.ts'

/** What is wrong with a form, for each of its fields to find its own. */
export const Mistakes = createContext<readonly Wrong[]>([])

/** What is wrong with a field. */
export const useWrong = (path: string): string | undefined => useContext(Mistakes).find((wrong) => wrong.path === path)?.text

export function WrongText({ id, text }: { id: string; text: string | undefined }) {
  return text ? (
    <small id={id} role="alert" className="bad">
      {text}
    </small>
  ) : null
}
