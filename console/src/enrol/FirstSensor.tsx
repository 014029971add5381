import { Link } from '@tanstack/react-router'
import { useOrganization } from '../api/session.ts'
import { Empty } from '../look/Failure.tsx'

/** Where there is no sensor yet: what one is, and how the first comes. */
export function FirstSensor({ title }: { title: string }) {
  const { org, may } = useOrganization()
  return (
    <Empty title={title}>
      <p>
        A sensor is a small program on each machine that carries out what you ask for, also later, if the machine is off now. It enrols with
        an installation key:
      </p>
      {may('ikey.set') && (
        <Link className="button prime" to="/$org/installation-keys" params={{ org }}>
          Make an installation key
        </Link>
      )}
      <code>muster install-key create "first machines"</code>
      <code>muster-sensor run --key KEY --state-dir DIR</code>
    </Empty>
  )
}
