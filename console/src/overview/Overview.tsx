import { useOrganization } from '../api/session.ts'
import { Head } from '../look/Head.tsx'

export function Overview() {
  const { name } = useOrganization()
  return (
    <>
      <Head title="Overview" within={name} />
      <div className="page">
        <p>Sensors, tasks, rules and detections of {name} have no pages here yet. They are at hand on the command line:</p>
        <pre>
          {
            "source muster-data/env\nmuster sensors\nmuster reliable-task create 'os_packages' --selector 'plat==linux' --watch\nmuster detections"
          }
        </pre>
        <p>
          The API behind them is described at <a href="/docs">/docs</a>.
        </p>
      </div>
    </>
  )
}
