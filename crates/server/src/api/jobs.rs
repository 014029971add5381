//! Jobs of services: what they say of their work. Source: reference/service-protocol.md section 10.

use super::insight::compressed;
use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::service::Job as Kept;
use muster_api_types::{Done, Job, JobAnswer, JobEntry, JobRecord, Jobs};
use muster_webhook::service::Entry;
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// Jobs of one answer.
const LISTED_MAX: i64 = 1_000;

/// Jobs of one answer with their history: each is read from the store.
const LISTED_WHOLE_MAX: i64 = 50;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/job/{oid}", Access::May("job.get"), "Jobs that began in a span, newest first", list)
            .answers::<Jobs>("jobs_list")
            .query("start", Kind::Seconds, "From this second on (Unix)")
            .query("end", Kind::Seconds, "Up to and including this second (Unix)")
            .query("is_compressed", Kind::Flag, "true: jobs is base64 of gzip")
            .query("with_data", Kind::Flag, "true: with the history of each; of the 50 newest")
            .query("limit", Kind::Whole(1, LISTED_MAX), "Most jobs")
            .query("sid", Kind::Id, "Only those about this sensor"),
        Route::new(Method::Get, "/job/{oid}/{id}", Access::May("job.get"), "One job", get)
            .answers::<JobAnswer>("job_get")
            .query("is_compressed", Kind::Flag, "true: job is base64 of gzip")
            .query("with_data", Kind::Flag, "true, the default: with its history"),
        Route::new(Method::Delete, "/job/{oid}/{id}", Access::May("job.ctrl"), "Forget a job", delete)
            .answers::<Done>("job_delete"),
    ]
}

fn shown(job: Kept, with_history: bool) -> Job {
    let entry = |entry: Entry| JobEntry {
        attachments: entry.attachments.into_iter().map(|attachment| attachment.0).collect(),
        is_important: entry.is_important,
        msg: entry.msg,
        ts: entry.ts,
    };
    Job {
        cause: job.cause,
        created: job.created_ms,
        job_id: job.id,
        last_change: job.changed_at.as_secs(),
        last_narration: job.last_narration,
        record: with_history.then(|| JobRecord { hist: job.history.into_iter().map(entry).collect() }),
        replicant: job.service,
        sids: job.sids,
        stopped: job.stopped_ms,
    }
}

fn packed(call: &Call, value: &impl Serialize) -> Result<Box<RawValue>, ApiError> {
    if call.fields.flag("is_compressed")? {
        return compressed(&serde_json::to_vec(value).map_err(ApiError::internal)?);
    }
    to_raw_value(value).map_err(ApiError::internal)
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let with_data = call.fields.flag("with_data")?;
    let most = if with_data { LISTED_WHOLE_MAX } else { LISTED_MAX };
    let limit = call.fields.number("limit")?.unwrap_or(most);
    if !(1..=LISTED_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit must be 1 to {LISTED_MAX}")));
    }
    let bound =
        |name: &str, open: i64| Ok::<_, ApiError>(call.fields.number(name)?.map_or(open, |s| s.saturating_mul(1_000)));
    let (from, to) = (bound("start", i64::MIN)?, bound("end", i64::MAX)?.saturating_add(999));
    let sid = call.fields.get("sid").filter(|sid| !sid.is_empty());
    let services = &call.app.services;
    let limit = usize::try_from(limit.min(most)).unwrap_or_default();
    let mut by_id = BTreeMap::new();
    for job in services.jobs(oid, from, to, sid, limit) {
        let job = if with_data { services.job(oid, &job.id).await.unwrap_or(job) } else { job };
        by_id.insert(job.id.clone(), shown(job, with_data));
    }
    Ok(Reply::json(&json!({"jobs": packed(&call, &by_id)?})))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let job = call.app.services.job(call.organization()?.oid, call.path("id")).await?;
    let with_data = call.fields.get("with_data").is_none() || call.fields.flag("with_data")?;
    Ok(Reply::json(&json!({"job": packed(&call, &shown(job, with_data))?})))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let (oid, id) = (call.organization()?.oid, call.path("id"));
    let removal = call.app.services.removal_of_job(oid, id)?;
    let entity = json!({"type": "job", "name": id});
    let record = call.audit(oid, "job deleted", &entity, "delete_job", &json!({}));
    call.app.intake.commit(crate::intake::Beside::from(record).and([removal])).await?;
    call.app.services.forgot_job(oid, id);
    Ok(Reply::done())
}
