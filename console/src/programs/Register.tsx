import { useId } from 'react'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { notify } from '../look/notices.tsx'
import { Submit } from '../look/Submit.tsx'
import { useSend } from '../look/useSend.ts'

/** What an owner has, and nobody else by their role: such registrations reach beyond the organization. */
const OWNERS = 'billing.ctrl'
/** What each flair of its identity means. */
const FLAIR = [
  ['lock', 'only it changes or deletes what it made'],
  ['secret', 'others see that something of it is there, and not its content'],
  ['segment', 'it sees and changes only what it made itself'],
  ['bulk', 'it may call more often'],
] as const
const FLAGS = [
  ['is_public', 'Offer it to every organization of the server'],
  ['allow_private', 'It may be at a private or loopback address'],
] as const

/** Makes a program of others known: a service, or an extension. */
export function Register({ kind, done }: { kind: 'service' | 'extension'; done: () => void }) {
  const { oid, may } = useOrganization()
  const id = useId()
  const { failure, submit, busy } = useSend(async (form) => {
    const { name, ...fields } = Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()]))
    fields.flair = form.getAll('flair').join(',')
    await call('POST', `/v1/${kind}s/${oid}/${encodeURIComponent(name ?? '')}`, fields)
    notify(`The ${kind} ${name} is registered. Subscribe the organization to it: until then it is told of nothing.`)
    done()
  })
  const field = (name: string, label: string, about: string, more: React.InputHTMLAttributes<HTMLInputElement> = {}) => (
    <div className="field">
      <label htmlFor={`${id}${name}`}>{label}</label>
      <input id={`${id}${name}`} name={name} autoComplete="off" aria-describedby={`${id}${name}about`} {...more} />
      <small id={`${id}${name}about`}>{about}</small>
    </div>
  )
  return (
    <details className="panel">
      <summary>Register {kind === 'service' ? 'a service' : 'an extension'}</summary>
      <form onSubmit={submit} className="form">
        {field('name', 'Name', 'Of small letters, digits and -.', { required: true })}
        {field('url', 'Address', 'Where it listens, without a query.', {
          type: 'url',
          required: true,
          placeholder: 'an https address',
        })}
        {field('secret', 'Shared secret', 'Signs what it is told, so that it knows who says it. It is not shown again.', {
          type: 'password',
          autoComplete: 'new-password',
        })}
        {field('perms', 'Permissions', 'What it may do in an organization that subscribes, separated by commas.', {
          placeholder: 'sensor.list, sensor.task',
        })}
        {kind === 'service' && field('detects', 'Detections', 'That it is told of besides those that it asks for, separated by commas.')}
        {field('rate', 'Calls in a second', 'That it gets at most, 1 to 1,000. Without it, only calls at once are bounded.', {
          type: 'number',
          min: 1,
          max: 1_000,
        })}
        <fieldset className="parts form">
          <legend>Flair of its key</legend>
          {FLAIR.map(([word, means]) => (
            <label key={word} className="line">
              <input type="checkbox" name="flair" value={word} />
              {word}: {means}
            </label>
          ))}
        </fieldset>
        {may(OWNERS) &&
          FLAGS.map(([name, label]) => (
            <label key={name} className="line">
              <input type="checkbox" name={name} value="true" />
              {label}
            </label>
          ))}
        <Submit does="Register" busy={busy} what={`The ${kind} was not registered`} failure={failure} />
      </form>
    </details>
  )
}
