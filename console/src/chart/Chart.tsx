import { useEffect, useReducer, useRef } from 'react'
import { localTime } from '../look/time.ts'
import { type Bins, wholeBins } from './bins.ts'
import { type Choose, openChart } from './openChart.ts'

const dark = matchMedia('(prefers-color-scheme: dark)')

interface Props {
  /** What the bars count. */
  label: string
  /** The same in a sentence, for those who do not see them. */
  sentence: string
  bins: Bins
  /** Makes of it a filter by time. */
  choose?: Choose
}

/** Bars over time, and the same as a table. */
export default function Chart({ label, sentence, bins, choose }: Props) {
  const chooser = useRef(choose)
  chooser.current = choose
  const host = useRef<HTMLDivElement>(null)
  const [theme, anew] = useReducer((count: number) => count + 1, 0)
  useEffect(() => {
    dark.addEventListener('change', anew)
    document.addEventListener('muster-theme', anew)
    return () => {
      dark.removeEventListener('change', anew)
      document.removeEventListener('muster-theme', anew)
    }
  }, [])
  const key = bins.counts.join()
  // biome-ignore lint/correctness/useExhaustiveDependencies: other numbers or colours are drawn anew
  useEffect(() => {
    const isFilter = chooser.current !== undefined
    return host.current ? openChart(host.current, bins, isFilter ? (from, to) => chooser.current?.(from, to) : undefined) : undefined
  }, [key, bins.starts[0], theme])
  return (
    <div className="field">
      <div className="chart" ref={host} role="img" aria-label={`${label}. ${sentence}`} />
      <details>
        <summary className="soft">{choose ? 'As a table, to choose from' : 'As a table'}</summary>
        <div className="scroll" tabIndex={0} role="region" aria-label={`${label}, as a table`}>
          <table>
            <thead>
              <tr>
                <th>From</th>
                <th className="number">{label}</th>
              </tr>
            </thead>
            <tbody>
              {bins.starts.map((start, at) => (
                <tr key={start}>
                  <td>
                    {choose && bins.counts[at] ? (
                      <button type="button" className="plain link" onClick={() => choose(...wholeBins(bins, start, start))}>
                        {localTime(start * 1_000)}
                      </button>
                    ) : (
                      localTime(start * 1_000)
                    )}
                  </td>
                  <td className="number">{(bins.counts[at] ?? 0).toLocaleString('en')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </div>
  )
}
