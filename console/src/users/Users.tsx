import { Head } from '../look/Head.tsx'
import { ApiKeys } from './ApiKeys.tsx'
import { Members } from './Members.tsx'

/** Who may come in: people, and programs. */
export function Users() {
  return (
    <>
      <Head title="API keys and users" />
      <div className="page">
        <Members />
        <ApiKeys />
      </div>
    </>
  )
}
