import type { Program } from '../api/types.ts'
import { Time } from '../look/Time.tsx'

/** What is known of every program, and of one that this organization registered. */
export const registration = (program: Program): [string, React.ReactNode][] => [
  ...(program.is_own
    ? ([
        ['Address', <code key="url">{program.url}</code>],
        ['Signed', program.has_secret ? 'with its shared secret' : 'with an empty key: anybody could say it'],
        ['Calls in a second', program.rate ? `${program.rate.toLocaleString('en')} at most` : 'no bound of its own'],
        [
          'Registered',
          <span key="created">
            <Time ms={(program.created ?? 0) * 1000} /> by {program.by}
          </span>,
        ],
      ] as [string, React.ReactNode][])
    : []),
  ['Offered to', program.is_public ? 'every organization of the server' : 'this organization'],
  ['Subscribed', program.is_subscribed ? 'yes' : 'no: it is told of nothing here'],
  ['Answered last', <Time key="well" ms={(program.well_at ?? 0) * 1000} ago />],
  ['May', program.permissions.join(', ') || 'nothing'],
  ['Flair of its key', program.flair.join(', ') || 'none'],
]
