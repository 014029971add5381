// Bars over time: uPlot, with the colours of the page and times of 24 hours.

import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Bins } from './bins.ts'

const HEIGHT = 140
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hour12: false })
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' })
const DAY_S = 86_400

/** Draws bars into an element; gives what takes them away. */
export function openChart(host: HTMLElement, { starts, counts }: Bins): () => void {
  const style = getComputedStyle(host)
  // The canvas does not know of light and dark: the colours are those of the moment.
  const probe = document.createElement('span')
  host.append(probe)
  const colour = (name: string) => {
    probe.style.color = style.getPropertyValue(name)
    return getComputedStyle(probe).color
  }
  const [soft, line, accent] = [colour('--text-soft'), colour('--line'), colour('--accent')]
  probe.remove()
  const width = (starts[1] ?? 0) - (starts[0] ?? 0)
  const span = width * starts.length
  const named = (second: number) => (span > DAY_S * 2 ? day : time).format(second * 1_000)
  const bars = uPlot.paths.bars?.({ size: [0.8], align: 1 })
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } }
  const chart = new uPlot(
    {
      width: host.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (_, __, most) => [0, Math.max(1, most)] }, x: { range: () => [starts[0] ?? 0, (starts[0] ?? 0) + span] } },
      series: [{}, { width: 0, fill: accent, ...(bars ? { paths: bars } : {}), points: { show: false } }],
      axes: [
        { ...axis, values: (_, splits) => splits.map(named) },
        { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000, 100_000, 1_000_000] },
      ],
    },
    [starts, counts],
    host,
  )
  const size = new ResizeObserver(() => chart.setSize({ width: host.clientWidth, height: HEIGHT }))
  size.observe(host)
  return () => {
    size.disconnect()
    chart.destroy()
  }
}
