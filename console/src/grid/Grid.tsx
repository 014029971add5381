import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, memo, useEffect, useMemo, useReducer, useRef, useState } from 'react'
import { Failure } from '../look/Failure.tsx'
import { usePhone } from '../look/usePhone.ts'
import { type Page, RowWindow } from './RowWindow.ts'

export interface Column<T> {
  name: string
  width: string
  cell: (row: T) => React.ReactNode
  /** How the server is asked to sort by it; with `-` in front the other way round. */
  sort?: string
  /** Left out on phones. */
  isWide?: boolean
}
interface Sorting {
  by: string
  choose: (by: string) => void
}
export interface Shown<T> {
  total: number
  patch: (changes: Partial<T>[], keyOf: (change: Partial<T>) => string) => void
  again: () => void
}
interface Props<T> {
  label: string
  /** Changes when other rows are asked for. */
  of: string
  fetch: (offset: number, limit: number, signal: AbortSignal) => Promise<Page<T>>
  keyOf: (row: T) => string
  columns: Column<T>[]
  onOpen: (row: T) => void
  empty: React.ReactNode
  sort?: Sorting
  picked?: ReadonlySet<string>
  /** One row is taken in, or out again; several are taken in. */
  pick?: (keys: readonly string[]) => void
  /** Told of what is on the screen, and how to change it. */
  onShown?: (rows: T[], window: Shown<T>) => void
  /** Told of a list that cannot be read; it is not shown here then. */
  onFailure?: (error: unknown) => void
}

const ROW_PX = 32
const PHONE_ROW_PX = 44
/** Blocks that were only scrolled past are not fetched. */
const PASSING_MS = 80

/** A list of any length: rows are fetched and drawn as they come into view. */
export function Grid<T>(props: Props<T>) {
  const { label, of, fetch, keyOf, columns, onOpen, empty, sort, picked, pick, onShown, onFailure } = props
  const [, changed] = useReducer((count: number) => count + 1, 0)
  const latest = useRef({ fetch, onShown, onFailure })
  latest.current = { fetch, onShown, onFailure }
  // biome-ignore lint/correctness/useExhaustiveDependencies: other rows are another window
  const rows = useMemo(() => new RowWindow<T>((...asked) => latest.current.fetch(...asked), keyOf, changed), [of])
  const scroller = useRef<HTMLDivElement>(null)
  const [at, setAt] = useState(-1)
  // From where a range is selected: the row that was picked last.
  const from = useRef(-1)
  const isPhone = usePhone()
  const height = isPhone ? PHONE_ROW_PX : ROW_PX
  const virtual = useVirtualizer({
    count: Math.max(rows.total, 0),
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 8,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another height are measured anew
  useEffect(() => virtual.measure(), [height])
  const items = virtual.getVirtualItems()
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0]
  useEffect(() => {
    rows.want(0, 0)
    setAt(-1)
    return () => rows.close()
  }, [rows])
  useEffect(() => {
    const timer = setTimeout(() => rows.want(first, last), PASSING_MS)
    return () => clearTimeout(timer)
  }, [rows, first, last])
  useEffect(() => latest.current.onFailure?.(rows.failure), [rows.failure])
  const shown = rows.between(first, last)
  const keys = shown.map(keyOf).join()
  // biome-ignore lint/correctness/useExhaustiveDependencies: told when other rows are shown
  useEffect(() => {
    latest.current.onShown?.(shown, {
      total: rows.total,
      patch: (changes, key) => rows.patch(changes, key),
      again: () => rows.again(first, last),
    })
  }, [keys, rows, rows.total])

  const pickAt = (index: number) => {
    const row = rows.row(index)
    from.current = index
    if (row && pick) pick([keyOf(row)])
  }
  const press = (event: KeyboardEvent) => {
    if (event.target !== scroller.current || event.ctrlKey || event.metaKey || event.altKey) return
    const row = rows.row(at)
    const next = placeAfter(event.key, at, rows.total, Math.floor((scroller.current?.clientHeight ?? 0) / height))
    if (next !== undefined) {
      setAt(next)
      virtual.scrollToIndex(next)
    } else if (event.key === 'Enter' && row) onOpen(row)
    else if (event.key === 'x' && row && pick) pickAt(at)
    else if (event.key === 'X' && pick) pick(rows.between(Math.min(from.current, at), Math.max(from.current, at)).map(keyOf))
    else return
    event.preventDefault()
  }
  const visible = useMemo(() => columns.filter((column) => !isPhone || !column.isWide), [columns, isPhone])
  const template = `${pick ? '24px ' : ''}${visible.map((column) => column.width).join(' ')}`
  if (rows.failure && rows.total < 0) {
    if (onFailure) return null
    return (
      <div className="page">
        <Failure what={`${label} could not be read`} error={rows.failure} again={() => rows.want(0, 0)} />
      </div>
    )
  }
  if (rows.total === 0) return <div className="page">{empty}</div>
  return (
    <div
      className="grid"
      ref={scroller}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.total + 1}
      aria-busy={rows.total < 0}
      aria-activedescendant={at >= first && at <= last && at >= 0 ? `row-${at}` : undefined}
      tabIndex={0}
      onKeyDown={press}
    >
      <div className="grid-row grid-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
        {pick && (
          <span role="columnheader">
            <span className="sr">Select</span>
          </span>
        )}
        {visible.map((column) => (
          <HeadCell key={column.name} name={column.name} by={column.sort} sort={sort} />
        ))}
      </div>
      <div className="grid-rows" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows.row(item.index)
          return (
            <Line
              key={item.key}
              index={item.index}
              top={item.start}
              height={height}
              row={row}
              template={template}
              columns={visible as Column<unknown>[]}
              isAt={item.index === at}
              isPicked={row !== undefined && (picked?.has(keyOf(row)) ?? false)}
              open={() => row && onOpen(row)}
              pick={pick && (() => pickAt(item.index))}
            />
          )
        })}
      </div>
    </div>
  )
}

/** Where a key leads from a row, if anywhere. */
function placeAfter(key: string, at: number, total: number, page: number): number | undefined {
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page - 2, PageUp: 2 - page }[key]
  if (key === 'Home') return 0
  if (key === 'End') return total - 1
  if (step === undefined) return undefined
  return at < 0 ? 0 : Math.max(0, Math.min(total - 1, at + step))
}

function HeadCell({ name, by, sort }: { name: string; by?: string | undefined; sort?: Sorting | undefined }) {
  if (!by || !sort) return <span role="columnheader">{name}</span>
  const order = sort.by === by ? 'ascending' : sort.by === `-${by}` ? 'descending' : 'none'
  const shape = { ascending: '↑', descending: '↓', none: '↕' }[order]
  return (
    <span role="columnheader" aria-sort={order}>
      <button type="button" onClick={() => sort.choose(order === 'ascending' ? `-${by}` : order === 'descending' ? '' : by)}>
        {name} <span aria-hidden="true">{shape}</span>
      </button>
    </span>
  )
}

interface LineProps {
  index: number
  top: number
  height: number
  row: unknown
  template: string
  columns: Column<unknown>[]
  isAt: boolean
  isPicked: boolean
  open: () => void
  pick: (() => void) | undefined
}
const Line = memo(
  function Line({ index, top, height, row, template, columns, isAt, isPicked, open, pick }: LineProps) {
    return (
      // Keys are handled by the grid, which keeps the focus.
      // biome-ignore lint/a11y/useKeyWithClickEvents: see above
      <div
        className={`grid-row ${isAt ? 'at' : ''}`}
        role="row"
        id={`row-${index}`}
        aria-rowindex={index + 2}
        aria-selected={isPicked}
        style={{ transform: `translateY(${top}px)`, height, gridTemplateColumns: template }}
        onClick={open}
      >
        {pick && (
          // biome-ignore lint/a11y/useKeyWithClickEvents: only keeps a click on the box from opening the row
          <span role="gridcell" onClick={(event) => event.stopPropagation()}>
            <input type="checkbox" tabIndex={-1} aria-label={`Select row ${index + 1}`} checked={isPicked} onChange={pick} />
          </span>
        )}
        {columns.map((column) => (
          <span role="gridcell" key={column.name}>
            {row ? column.cell(row) : <span className="blank" />}
          </span>
        ))}
      </div>
    )
  },
  (a, b) =>
    a.row === b.row &&
    a.top === b.top &&
    a.height === b.height &&
    a.isAt === b.isAt &&
    a.isPicked === b.isPicked &&
    a.columns === b.columns,
)
