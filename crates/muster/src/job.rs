//! `muster job`: what services say of their work.

use crate::confirm::confirm;
use crate::show;
use muster_client::{Client, Job};
use std::time::Duration;
use tokio::time::sleep;

/// How often it is looked whether a job has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What to do with jobs.
#[derive(clap::Subcommand)]
pub enum JobVerb {
    /// List jobs, newest first
    List,
    /// Show a job with its history
    Get {
        /// Its id
        id: String,
    },
    /// Wait until a job has ended, and show it
    Wait {
        /// Its id
        id: String,
    },
    /// Delete a job
    Delete {
        /// Its id
        id: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: JobVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        JobVerb::List => list(client, json).await?,
        JobVerb::Get { id } => get(&client.job(&id).await?, json),
        JobVerb::Wait { id } => {
            let mut job = client.job(&id).await?;
            while job.stopped.is_none() {
                sleep(LOOK_EVERY).await;
                job = client.job(&id).await?;
            }
            get(&job, json);
        }
        JobVerb::Delete { id, yes } => {
            confirm(yes, &format!("delete the job {id}"))?;
            client.delete_job(&id).await?;
            show::line("Deleted.");
        }
    }
    Ok(())
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let jobs = client.jobs().await?;
    if json {
        show::json(&jobs);
        return Ok(());
    }
    let mut jobs: Vec<Job> = jobs.into_values().collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.created));
    let row = |job: &Job| {
        let state = if job.stopped.is_some() { "ended" } else { "runs" }.to_owned();
        let told = show::shortened(&show::safe(&job.last_narration), 60);
        vec![show::safe(&job.job_id), show::safe(&job.replicant), show::time_ms(Some(job.created)), state, told]
    };
    show::table(&["ID", "SERVICE", "SINCE", "STATE", "LAST WORD"], jobs.iter().map(row), "No jobs.");
    Ok(())
}

fn get(job: &Job, json: bool) {
    if json {
        return show::json(job);
    }
    show::fields(&[
        ("id", show::safe(&job.job_id)),
        ("service", show::safe(&job.replicant)),
        ("cause", show::safe(&job.cause)),
        ("since", show::time_ms(Some(job.created))),
        ("ended", show::time_ms(job.stopped)),
    ]);
    for entry in job.record.iter().flat_map(|record| &record.hist) {
        show::line(format_args!("{}  {}", show::time_ms(Some(entry.ts)), show::safe(&entry.msg)));
    }
}
