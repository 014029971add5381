import type { Problem } from '../editor/yaml.ts'

/** What is wrong with the text, with line and column; the editor marks the same. */
export function Problems({ problems }: { problems: Problem[] | undefined }) {
  return (
    <div role="status">
      {problems === undefined ? (
        <p className="soft">Checking…</p>
      ) : problems.length ? (
        <ul className="problems">
          {problems.map((problem) => (
            <li key={`${problem.from} ${problem.message}`} className="bad">
              Line {problem.line}, column {problem.column}: {problem.message}
            </li>
          ))}
        </ul>
      ) : (
        <p className="ok">The server takes it; its own tests pass, if it has any.</p>
      )}
    </div>
  )
}
