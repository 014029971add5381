const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** “3.1 MiB”. */
export function sizeOf(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  const value = bytes / 1024 ** step
  return `${step ? value.toFixed(1) : value} ${UNITS[step]}`
}
