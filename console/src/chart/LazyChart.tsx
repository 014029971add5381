import { lazy, Suspense } from 'react'

const Chart = lazy(() => import('./Chart.tsx'))

/** A chart that is fetched when it is shown, with its place kept meanwhile. */
export function LazyChart(props: React.ComponentProps<typeof Chart>) {
  return (
    <Suspense fallback={<div className="chart" aria-busy="true" />}>
      <Chart {...props} />
    </Suspense>
  )
}
