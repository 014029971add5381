import { useOrganization } from '../api/session.ts'
import { Head } from '../look/Head.tsx'

export function Overview() {
  const { name } = useOrganization()
  return (
    <>
      <Head title="Overview" within={name} />
      <div className="page">
        <p>{name}</p>
      </div>
    </>
  )
}
