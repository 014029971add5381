import type { Sensor } from '../api/types.ts'
import { FactList } from '../look/FactList.tsx'
import { Time } from '../look/Time.tsx'
import { ofServer } from '../look/time.ts'
import { architectureOf, platformOf } from './platform.ts'

/** What a machine is. */
export function Facts({ info }: { info: Sensor }) {
  const facts: [string, React.ReactNode][] = [
    ['Sensor id', <code key="sid">{info.sid}</code>],
    ['Platform', `${platformOf(info.plat)} ${architectureOf(info.arch)}`],
    ['Internal address', <code key="int">{info.int_ip || '–'}</code>],
    ['External address', <code key="ext">{info.ext_ip || '–'}</code>],
    ['MAC address', <code key="mac">{info.mac_addr || '–'}</code>],
    ['Sensor version', info.version || '–'],
    ['Enrolled', <Time key="enrol" ms={ofServer(info.enroll)} ago />],
  ]
  return (
    <section className="panel">
      <h2>Machine</h2>
      <FactList facts={facts} />
    </section>
  )
}
