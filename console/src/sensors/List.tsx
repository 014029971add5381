import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useMemo, useState } from 'react'
import { call, type Failure as Refusal } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import type { Sensor, SensorPage } from '../api/types.ts'
import { FirstSensor } from '../enrol/FirstSensor.tsx'
import { Grid, type Shown } from '../grid/Grid.tsx'
import { useTopic } from '../live/useLive.ts'
import { Empty } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { counted } from '../look/words.ts'
import { SavedSelectors } from '../selector/SavedSelectors.tsx'
import { SelectorField } from '../selector/SelectorField.tsx'
import { ColumnChoice } from './ColumnChoice.tsx'
import { chosenColumns, keepColumns } from './columns.tsx'
import { PickBar } from './PickBar.tsx'
import { useWritten } from './useWritten.ts'
import { fieldsOf, type Which } from './which.ts'

const LIVE_MAX = 400
/** How often the list looks for new sensors. */
const AGAIN_MS = 5_000

export function Sensors() {
  const { org, oid } = useOrganization()
  const search = useSearch({ from: '/$org/sensors' })
  const navigate = useNavigate()
  const [text, setText] = useState(search.selector ?? '')
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const [shown, setShown] = useState<{ rows: Sensor[]; window: Shown<Sensor> }>()
  const [failure, setFailure] = useState<unknown>(null)
  const selector = search.selector ?? ''
  // Back and forward change the address, and with it the field.
  useEffect(() => {
    setText(selector)
    setFailure(null)
  }, [selector])
  const show = (changed: Partial<typeof search>) =>
    void navigate({ to: '/$org/sensors', params: { org }, search: { ...search, ...changed } })
  const apply = (changed: Partial<typeof search>) => {
    setFailure(null)
    setPicked(new Set())
    show(changed)
  }
  const columns = useMemo(() => chosenColumns(search.columns), [search.columns])
  const live = shown?.rows.slice(0, LIVE_MAX).map((sensor) => sensor.sid)
  useTopic('sensors', oid && live?.length ? { oid, sids: live } : undefined, {
    rows: (rows) => shown?.window.patch(rows as Partial<Sensor>[], (change) => change.sid ?? ''),
    gap: () => shown?.window.again(),
  })
  // Sensors that enrol stand at the end: nothing moves under the pointer.
  const again = shown?.window.again
  useEffect(() => {
    const timer = setInterval(() => again?.(), AGAIN_MS)
    return () => clearInterval(timer)
  }, [again])
  const pick = (sids: readonly string[]) => {
    const next = new Set(picked)
    const isOut = sids.length === 1 && sids.every((sid) => next.delete(sid))
    setPicked(isOut ? next : new Set([...next, ...sids]))
  }
  const isFiltered = Boolean(selector || search.state)
  const isApplied = text.trim() === selector
  const written = useWritten(text.trim(), search.state, isApplied)
  const mistake = isApplied && failure ? (failure as Refusal).message : written.mistake
  return (
    <>
      <Head title="Sensors">
        <SelectorField
          label="Selector"
          value={text}
          onChange={setText}
          onEnter={(chosen) => apply({ selector: chosen.trim() || undefined })}
          mistake={mistake}
          isFilter
        />
        <button type="button" onClick={() => apply({ selector: text.trim() || undefined })}>
          Apply
        </button>
        <SavedSelectors
          selector={text}
          choose={(chosen) => {
            setText(chosen)
            apply({ selector: chosen })
          }}
        />
        <select
          aria-label="State"
          value={search.state ?? ''}
          onChange={(event) => apply({ state: (event.target.value || undefined) as Which['state'] })}
        >
          <option value="">online and offline</option>
          <option value="online">online now</option>
          <option value="offline">offline now</option>
        </select>
        <ColumnChoice shown={columns.map(({ name }) => name)} choose={(chosen) => show({ columns: keepColumns(chosen) })} />
        <span role="status" className="soft">
          {written.total !== undefined
            ? `${counted(written.total, 'sensor')} ${written.total === 1 ? 'matches' : 'match'}; Enter shows them`
            : shown && shown.window.total >= 0 && !failure && counted(shown.window.total, 'sensor')}
        </span>
      </Head>
      {failure ? (
        <div className="page">
          <Empty title="The selector is not understood.">
            <p>What is wrong, and where, is said below it.</p>
          </Empty>
        </div>
      ) : (
        <Grid<Sensor>
          label="Sensors"
          of={`${oid} ${selector} ${search.sort ?? ''} ${search.state ?? ''}`}
          fetch={async (offset, limit, signal) => {
            const fields = { ...fieldsOf({ selector, state: search.state }), offset, limit, sort: search.sort }
            const page = await call<SensorPage>('GET', `/v1/sensors/${oid}`, fields, signal)
            return { rows: page.sensors, total: page.total }
          }}
          keyOf={(sensor) => sensor.sid}
          columns={columns}
          sort={{ by: search.sort ?? '', choose: (by) => apply({ sort: by || undefined }) }}
          picked={picked}
          pick={pick}
          onOpen={(sensor) => void navigate({ to: '/$org/sensors/$sid', params: { org, sid: sensor.sid } })}
          onShown={(rows, window) => setShown({ rows, window })}
          {...(selector ? { onFailure: setFailure } : {})}
          empty={
            isFiltered ? (
              <Empty title="No sensor matches.">
                {selector && <code>{selector}</code>}
                <button type="button" onClick={() => apply({ selector: undefined, state: undefined })}>
                  Clear
                </button>
              </Empty>
            ) : (
              <FirstSensor title="No sensors yet." />
            )
          }
        />
      )}
      {!failure && shown && shown.window.total > 0 && (
        <PickBar
          picked={picked}
          selector={selector}
          state={search.state}
          total={shown.window.total}
          task={search.task}
          clear={() => setPicked(new Set())}
          changed={() => shown.window.again()}
        />
      )}
    </>
  )
}
