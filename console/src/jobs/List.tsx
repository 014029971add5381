import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Empty, Forbidden } from '../look/Failure.tsx'
import { Head } from '../look/Head.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { Reading } from '../look/Reading.tsx'
import { TextFilter } from '../look/TextFilter.tsx'
import { Time } from '../look/Time.tsx'
import { counted } from '../look/words.ts'
import type { Job } from './job.ts'

const AGAIN_MS = 5_000
/** Jobs that the server keeps of an organization. */
const SHOWN_MAX = 1_000
const HEADS = [
  { name: 'Why' },
  { name: 'Service', isWide: true },
  { name: 'Said last' },
  { name: 'Began', isWide: true },
  { name: 'How it stands' },
]

/** What services do, as they say it. */
export function Jobs() {
  const { oid, org, may } = useOrganization()
  const { find = '' } = useSearch({ from: '/$org/jobs' })
  const navigate = useNavigate()
  const jobs = useQuery({
    queryKey: ['jobs', oid],
    queryFn: ({ signal }) =>
      call<{ jobs: Record<string, Job> }>('GET', `/v1/job/${oid}`, { limit: SHOWN_MAX }, signal).then((answer) =>
        Object.values(answer.jobs),
      ),
    enabled: oid !== '' && may('job.get'),
    refetchInterval: AGAIN_MS,
  })
  const needle = find.toLowerCase()
  const shown = (jobs.data ?? []).filter((job) => JSON.stringify(job).toLowerCase().includes(needle)).sort((a, b) => b.created - a.created)
  const filter = (text: string) => void navigate({ to: '/$org/jobs', params: { org }, search: { find: text || undefined }, replace: true })
  return (
    <>
      <Head title="Jobs">
        <TextFilter label="Only jobs with this text" text={find} change={filter} />
        <span role="status" className="soft">
          {jobs.data && counted(shown.length, 'job')}
        </span>
      </Head>
      <div className="page">
        {!may('job.get') && <Forbidden permission="job.get" />}
        <Reading of={jobs} what="Jobs" />
        {jobs.data && !shown.length && (
          <Empty title={find ? 'No job with this text.' : 'No jobs yet.'}>
            {find ? (
              <button type="button" onClick={() => filter('')}>
                Clear
              </button>
            ) : (
              <p>A service that works on something keeps a job, and says here what it does and finds.</p>
            )}
          </Empty>
        )}
        {shown.length > 0 && (
          <ListTable
            label="Jobs"
            heads={HEADS}
            rows={shown.map((job) => ({
              key: job.job_id,
              cells: [
                <Link key="cause" to="/$org/jobs/$job" params={{ org, job: job.job_id }}>
                  {job.cause || job.job_id}
                </Link>,
                job.replicant,
                job.last_narration,
                <Time key="began" ms={job.created} />,
                job.stopped ? 'over' : 'goes on',
              ],
            }))}
          />
        )}
      </div>
    </>
  )
}
