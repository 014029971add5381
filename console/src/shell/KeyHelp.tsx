import { useState } from 'react'
import { Dialog } from '../look/Dialog.tsx'
import { PAGES } from './pages.ts'
import { hasSingleKeys, setSingleKeys } from './settings.ts'

const KEYS: [string, string][] = [
  ['Ctrl K', 'go to a page, sensor or task'],
  ['/', 'filter of the page'],
  ['↑ ↓ Page Up Page Down Home End', 'move in a list'],
  ['Enter', 'open'],
  ['x', 'select (in a list)'],
  ['Shift x', 'select from the row that was selected last'],
  ['F6', 'leave the terminal'],
  ['Esc', 'close what is open'],
  ['?', 'this help'],
]

export function KeyHelp({ onClose }: { onClose: () => void }) {
  const [isOn, setOn] = useState(hasSingleKeys)
  return (
    <Dialog title="Keys" onClose={onClose}>
      <table>
        <tbody>
          {[...KEYS, ...PAGES.filter((page) => page.key).map((page): [string, string] => [`g ${page.key}`, page.name])].map(
            ([keys, does]) => (
              <tr key={keys}>
                <th scope="row">
                  <kbd>{keys}</kbd>
                </th>
                <td>{does}</td>
              </tr>
            ),
          )}
        </tbody>
      </table>
      <label className="line">
        <input
          type="checkbox"
          checked={isOn}
          onChange={(event) => {
            setOn(event.target.checked)
            setSingleKeys(event.target.checked)
          }}
        />
        Single keys (those without Ctrl)
      </label>
      <div className="actions">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
