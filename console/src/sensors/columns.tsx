import type { Sensor } from '../api/types.ts'
import type { Column } from '../grid/Grid.tsx'
import { State } from '../look/State.tsx'
import { Time } from '../look/Time.tsx'
import { ofServer } from '../look/time.ts'
import { architectureOf, platformOf } from './platform.ts'

const mono = (text: string) => <span className="mono">{text}</span>

/** What the list can tell of a sensor. The first two are always shown. */
const COLUMNS: Column<Sensor>[] = [
  { name: 'Host', width: 'minmax(120px, 2fr)', sort: 'hostname', cell: (sensor) => sensor.hostname || mono(sensor.sid) },
  {
    name: 'State',
    width: '100px',
    cell: (sensor) => (
      <>
        <State of={sensor.is_online ? 'online' : 'offline'} />
        {sensor.should_isolate || sensor.is_isolated ? <span className="warn"> isolated</span> : ''}
      </>
    ),
  },
  { name: 'Platform', width: '88px', cell: (sensor) => platformOf(sensor.plat), isWide: true },
  { name: 'Architecture', width: '96px', cell: (sensor) => architectureOf(sensor.arch), isWide: true },
  { name: 'Address', width: 'minmax(96px, 1fr)', cell: (sensor) => mono(sensor.int_ip), isWide: true },
  { name: 'External address', width: 'minmax(112px, 1fr)', cell: (sensor) => mono(sensor.ext_ip), isWide: true },
  { name: 'MAC address', width: 'minmax(136px, 1fr)', cell: (sensor) => mono(sensor.mac_addr), isWide: true },
  {
    name: 'Tags',
    width: 'minmax(120px, 2fr)',
    cell: (sensor) =>
      sensor.tags?.map((tag) => (
        <span key={tag} className="tag" title={tag}>
          {tag}
        </span>
      )),
    isWide: true,
  },
  { name: 'Version', width: '80px', cell: (sensor) => sensor.version, isWide: true },
  { name: 'Sensor id', width: 'minmax(280px, 2fr)', cell: (sensor) => mono(sensor.sid), isWide: true },
  { name: 'Enrolled', width: 'minmax(170px, 1fr)', cell: (sensor) => <Time ms={ofServer(sensor.enroll)} />, isWide: true },
  { name: 'Last seen', width: 'minmax(170px, 1fr)', sort: 'alive', cell: (sensor) => <Time ms={ofServer(sensor.alive)} />, isWide: true },
]
const ALWAYS = 2
const FIRST = ['Platform', 'Address', 'Tags', 'Last seen']
const KEPT = 'muster-sensor-columns'

/** Columns that can be chosen, by their names. */
export const CHOICES = COLUMNS.slice(ALWAYS).map((column) => column.name)

/** Those that are named in an address, else those that were chosen last in this browser, else those that most need. */
export function chosenColumns(named: string | undefined): Column<Sensor>[] {
  const chosen = (named ?? localStorage.getItem(KEPT))?.split(',') ?? FIRST
  return COLUMNS.filter((column, at) => at < ALWAYS || chosen.includes(column.name))
}

/** Keeps a choice; gives it as it stands in an address. */
export function keepColumns(chosen: readonly string[]): string {
  localStorage.setItem(KEPT, chosen.join(','))
  return chosen.join(',')
}
