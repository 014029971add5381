// Bars over time: uPlot, with the colours of the page and times of 24 hours.

import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { type Bins, wholeBins } from './bins.ts'

const HEIGHT = 140
/** Less than this is a click. */
const DRAWN_PX = 4
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hour12: false })
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' })
const DAY_S = 86_400

/** What is told of a span that was chosen, in seconds. */
export type Choose = (from: number, to: number) => void

/** Draws bars into an element, of which some can be chosen: one by a click, several by drawing over them. Gives what takes them away. */
export function openChart(host: HTMLElement, bins: Bins, choose?: Choose): () => void {
  const { starts, counts } = bins
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
  const drawBars = uPlot.paths.bars?.({ size: [0.8], align: 1 })
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } }
  const chosen = (from: number, to = from) => choose?.(...wholeBins(bins, chart.posToVal(from, 'x'), chart.posToVal(to, 'x')))
  const chart = new uPlot(
    {
      width: host.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: {
        show: Boolean(choose),
        x: false,
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: DRAWN_PX },
      },
      hooks: { setSelect: [({ select }) => chosen(select.left, select.left + select.width)] },
      scales: { y: { range: (_, __, most) => [0, Math.max(1, most)] }, x: { range: () => [starts[0] ?? 0, (starts[0] ?? 0) + span] } },
      series: [{}, { width: 0, fill: accent, ...(drawBars ? { paths: drawBars } : {}), points: { show: false } }],
      axes: [
        { ...axis, values: (_, splits) => splits.map(named) },
        { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000, 100_000, 1_000_000] },
      ],
    },
    [starts, counts],
    host,
  )
  // A click that ends a drawing is kept back by the chart itself.
  if (choose) chart.over.addEventListener('click', (event) => chosen(event.offsetX))
  const size = new ResizeObserver(() => chart.setSize({ width: host.clientWidth, height: HEIGHT }))
  size.observe(host)
  return () => {
    size.disconnect()
    chart.destroy()
  }
}
