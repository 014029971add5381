// Rows of a long list, kept in blocks that are fetched when they come into view.

export const BLOCK = 200
const KEPT = 40

export interface Page<T> {
  rows: T[]
  total: number
}
type Fetch<T> = (offset: number, limit: number, signal: AbortSignal) => Promise<Page<T>>

export class RowWindow<T> {
  /** Rows that there are; -1 until it is known. */
  total = -1
  failure: unknown = null
  private readonly blocks = new Map<number, T[] | 'asked'>()
  private readonly place = new Map<string, [block: number, at: number]>()
  private aborter = new AbortController()

  constructor(
    private readonly fetch: Fetch<T>,
    private readonly keyOf: (row: T) => string,
    private readonly changed: () => void,
  ) {}

  row(index: number): T | undefined {
    const block = this.blocks.get(Math.floor(index / BLOCK))
    return block && block !== 'asked' ? block[index % BLOCK] : undefined
  }

  /** The rows that are there among these places. */
  between(first: number, last: number): T[] {
    const rows: T[] = []
    for (let index = first; index <= last; index++) {
      const row = this.row(index)
      if (row) rows.push(row)
    }
    return rows
  }

  /** Fetches what is missing of these places. */
  want(first: number, last: number) {
    for (let block = Math.floor(first / BLOCK); block <= Math.floor(last / BLOCK); block++) {
      if (!this.blocks.has(block)) void this.get(block)
    }
  }

  /** Fetches what is shown anew: something was missed. What is there stays until it comes. */
  again(first: number, last: number) {
    for (const block of [...this.blocks.keys()]) {
      const isShown = block >= Math.floor(first / BLOCK) && block <= Math.floor(last / BLOCK)
      if (isShown) void this.get(block)
      else this.forget(block)
    }
    if (!this.blocks.size) void this.get(0)
  }

  /** Takes changes of single rows in; rows that are not here are none of its business. */
  patch(changes: Partial<T>[], keyOf: (change: Partial<T>) => string) {
    let any = false
    for (const change of changes) {
      const at = this.place.get(keyOf(change))
      const block = at && this.blocks.get(at[0])
      if (!at || !block || block === 'asked') continue
      const old = block[at[1]]
      if (!old) continue
      block[at[1]] = { ...old, ...change }
      any = true
    }
    if (any) this.changed()
  }

  close() {
    this.aborter.abort()
    // Mounted again, as React does in development, it starts over.
    this.aborter = new AbortController()
    for (const [block, rows] of this.blocks) if (rows === 'asked') this.blocks.delete(block)
  }

  private async get(block: number) {
    const signal = this.aborter.signal
    if (!this.blocks.has(block)) this.blocks.set(block, 'asked')
    try {
      const page = await this.fetch(block * BLOCK, BLOCK, signal)
      if (signal.aborted) return
      this.total = page.total
      this.failure = null
      this.blocks.set(block, page.rows)
      page.rows.forEach((row, at) => {
        this.place.set(this.keyOf(row), [block, at])
      })
      if (this.blocks.size > KEPT) this.dropFarFrom(block)
    } catch (error) {
      if (signal.aborted) return
      if (this.blocks.get(block) === 'asked') this.blocks.delete(block)
      this.failure = error
    }
    this.changed()
  }

  private dropFarFrom(near: number) {
    let far = near
    for (const [block, rows] of this.blocks) if (rows !== 'asked' && Math.abs(block - near) > Math.abs(far - near)) far = block
    this.forget(far)
  }

  private forget(block: number) {
    const rows = this.blocks.get(block)
    if (rows && rows !== 'asked') for (const row of rows) this.place.delete(this.keyOf(row))
    this.blocks.delete(block)
  }
}
