import { Head } from '../look/Head.tsx'
import { Artifacts } from './Artifacts.tsx'
import { Payloads } from './Payloads.tsx'

/** Files that tasks bring to machines, and files that came from them. */
export function Files() {
  return (
    <>
      <Head title="Payloads and artifacts" />
      <div className="page">
        <Payloads />
        <Artifacts />
      </div>
    </>
  )
}
