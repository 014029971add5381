interface Head {
  name: string
  /** Left out on phones. */
  isWide?: boolean
  isNumber?: boolean
}
interface Line {
  key: string
  cells: React.ReactNode[]
}

/** A short table: what it lists, the names of its columns, its rows. */
export function ListTable({ label, heads, rows }: { label: string; heads: Head[]; rows: Line[] }) {
  const look = (head: Head | undefined) => `${head?.isWide ? 'wide' : ''} ${head?.isNumber ? 'number' : ''}`
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head.name} className={look(head)}>
                {head.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key}>
              {row.cells.map((cell, at) => (
                <td key={heads[at]?.name} className={look(heads[at])}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
