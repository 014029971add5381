interface Props {
  /** What it does, for those who see it and those who hear it. */
  label: string
  /** Longer words for those who see it. */
  hint?: string
  text: string
  change: (text: string) => void
}

/** The filter of a list: the key / leads to it. */
export function TextFilter({ label, hint = label, text, change }: Props) {
  return (
    <input
      data-filter=""
      className="grow"
      aria-label={label}
      placeholder={hint}
      value={text}
      onChange={(event) => change(event.target.value)}
    />
  )
}
