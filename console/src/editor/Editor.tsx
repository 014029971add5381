import { useEffect, useRef } from 'react'
import { type EditorOptions, openEditor } from './openEditor.ts'

interface Props extends EditorOptions {
  /** The text to begin with; another one makes a new editor. */
  text: string
}

/** An editor for YAML. */
export default function Editor({ text, label, check, changed, words }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const latest = useRef({ check, changed })
  latest.current = { check, changed }
  useEffect(() => {
    if (!host.current) return
    const view = openEditor(host.current, text, {
      label,
      words,
      check: (now) => latest.current.check(now),
      changed: (now) => latest.current.changed(now),
    })
    return () => view.destroy()
  }, [text, label, words])
  return <div ref={host} className="edit" />
}
