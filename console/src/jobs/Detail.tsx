import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { call } from '../api/client.ts'
import { useOrganization } from '../api/session.ts'
import { Delete } from '../look/Delete.tsx'
import { Head } from '../look/Head.tsx'
import { Reading } from '../look/Reading.tsx'
import { saveFile } from '../look/saveFile.ts'
import { Time } from '../look/Time.tsx'
import { Evidence } from './Evidence.tsx'
import type { Job } from './job.ts'

/** A job that goes on is looked at this often. */
const AGAIN_MS = 3_000

/** A job: what its service said of it, in order, with the evidence. */
export function JobDetail() {
  const { oid, org, may } = useOrganization()
  const { job: id } = useParams({ from: '/$org/jobs/$job' })
  const navigate = useNavigate()
  const path = `/v1/job/${oid}/${encodeURIComponent(id)}`
  const read = useQuery({
    queryKey: ['job', oid, id],
    queryFn: ({ signal }) => call<{ job: Job }>('GET', path, {}, signal).then((answer) => answer.job),
    enabled: oid !== '',
    refetchInterval: (query) => (query.state.data?.stopped ? false : AGAIN_MS),
  })
  const job = read.data
  return (
    <>
      <Head title={job?.cause || 'Job'} within="Jobs">
        <span className="grow" />
        {job && (
          <button type="button" onClick={() => saveFile(`job-${id}.json`, JSON.stringify(job, null, 2))}>
            JSON
          </button>
        )}
        {job && may('job.ctrl') && (
          <Delete
            name={job.cause || id}
            does="Forget"
            remove={() => call('DELETE', path)}
            then={() => void navigate({ to: '/$org/jobs', params: { org } })}
          >
            What the service said of it, and its evidence, is gone then. The service is not stopped by it.
          </Delete>
        )}
      </Head>
      <div className="page">
        <Reading of={read} what="The job" gone="There is no such job." />
        {job && (
          <>
            <dl className="facts">
              <div>
                <dt>Service</dt>
                <dd>{job.replicant}</dd>
              </div>
              <div>
                <dt>Began</dt>
                <dd>
                  <Time ms={job.created} ago />
                </dd>
              </div>
              <div>
                <dt>Ended</dt>
                <dd>{job.stopped ? <Time ms={job.stopped} ago /> : 'not yet'}</dd>
              </div>
              <div>
                <dt>Sensors</dt>
                <dd>
                  {job.sids.map((sid) => (
                    <Link key={sid} className="mono" to="/$org/sensors/$sid" params={{ org, sid }}>
                      {sid}
                    </Link>
                  ))}
                  {!job.sids.length && '–'}
                </dd>
              </div>
            </dl>
            <section className="panel">
              <h2>What was done</h2>
              {!job.record?.hist.length && <p className="soft">Its service has said nothing yet.</p>}
              <ol className="narration">
                {job.record?.hist.map((entry, at) => (
                  <li key={at}>
                    <p>
                      <Time ms={entry.ts} /> {entry.is_important ? <strong className="warn">▲ {entry.msg}</strong> : entry.msg}
                    </p>
                    {entry.attachments?.map((attachment, at) => (
                      <Evidence key={at} attachment={attachment} />
                    ))}
                  </li>
                ))}
              </ol>
            </section>
          </>
        )}
      </div>
    </>
  )
}
