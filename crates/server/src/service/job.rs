//! Jobs: what services say of their work, kept so that people can follow it.
//!
//! A service makes and continues jobs in its answers ([`Job`]: only what is new). Each is merged into what is kept
//! and stored before the answer counts as taken, so a job is never behind what the service was told. In memory is
//! what a list shows; the history is in the store alone.
//!
//! Source: reference/service-protocol.md section 10.

use super::{Error, Services};
use crate::clock;
use crate::records::{Kind, Records};
use muster_model::{Oid, Timestamp};
use muster_store::Write;
use muster_webhook::service::{Entry, Job};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Jobs by service and id; their history is not held in memory.
const JOB: Kind<Kept> = Kind::new(WORD);
const WORD: &str = "job";

/// Jobs that one organization keeps; beyond, the one that changed least recently is forgotten.
pub const JOBS_MAX: usize = 1_000;

/// Bytes of one job as it is stored. What would exceed it is refused and told: a service that narrates without end
/// must not fill the store.
pub const JOB_BYTES_MAX: usize = 1 << 20;

/// Jobs in one answer.
const JOBS_PER_ANSWER_MAX: usize = 64;

/// Longest id and cause, and sensors of one job.
const ID_BYTES_MAX: usize = 256;
const CAUSE_BYTES_MAX: usize = 4_096;
const SENSORS_MAX: usize = 10_000;

/// A job as it is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// The id that the service gave it.
    pub id: String,
    /// Whose it is.
    pub service: String,
    /// Why it was made.
    pub cause: String,
    /// When it began, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it ended.
    pub stopped_ms: Option<i64>,
    /// When it last changed, by the clock of the server.
    pub changed_at: Timestamp,
    /// The newest message of its history.
    pub last_narration: String,
    /// Sensors that it is about.
    pub sids: Vec<String>,
    /// What was told, in the order in which it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Entry>,
}

/// What is in memory of jobs.
#[derive(Default)]
pub(super) struct Jobs {
    /// By organization, then by key; without history.
    index: Mutex<HashMap<Oid, BTreeMap<String, Kept>>>,
    /// A job is read, merged and stored by one at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Jobs {
    /// What is stored.
    pub(super) fn load(records: &Records) -> Self {
        let jobs = Self::default();
        records.owners(JOB).into_iter().for_each(|oid| jobs.take_up(records, oid));
        jobs
    }

    /// What is stored of one organization, and nothing else of it.
    pub(super) fn take_up(&self, records: &Records, oid: Oid) {
        let stored = records.take(oid, JOB).into_iter();
        let jobs = stored.map(|(key, job)| (key, Kept { history: Vec::new(), ..job })).collect();
        self.index.lock().insert(oid, jobs);
    }
}

impl Kept {
    /// Adds what a service said.
    ///
    /// # Errors
    ///
    /// Says which bound it exceeds.
    fn merge(&mut self, said: Job, now: Timestamp) -> Result<(), String> {
        if let Some(cause) = said.cause {
            self.cause = cause.chars().take(CAUSE_BYTES_MAX / 4).collect();
        }
        if let Some(end) = said.end {
            self.stopped_ms = Some(end);
        }
        for sid in said.sid {
            if !self.sids.contains(&sid) {
                self.sids.push(sid);
            }
        }
        if self.sids.len() > SENSORS_MAX {
            return Err(format!("a job has at most {SENSORS_MAX} sensors"));
        }
        self.history.extend(said.hist);
        if let Some(newest) = self.history.iter().max_by_key(|entry| entry.ts) {
            self.last_narration.clone_from(&newest.msg);
        }
        self.changed_at = now;
        Ok(())
    }
}

fn key(service: &str, id: &str) -> String {
    format!("{service}/{id}")
}

impl Services {
    /// Merges the jobs of an answer into those that are kept; gives what could not be taken, for the operators.
    pub(super) async fn take_jobs(&self, oid: Oid, service: &str, jobs: &[Job]) -> Result<Option<String>, Error> {
        let (mut refused, now) = (None, clock::now());
        if jobs.len() > JOBS_PER_ANSWER_MAX {
            refused = Some(format!("an answer has at most {JOBS_PER_ANSWER_MAX} jobs; the rest was dropped"));
        }
        let _one_at_a_time = self.jobs.changing.lock().await;
        for said in jobs.iter().take(JOBS_PER_ANSWER_MAX) {
            if said.id.is_empty() || said.id.len() > ID_BYTES_MAX {
                refused = Some(format!("a job has an id of 1 to {ID_BYTES_MAX} bytes"));
                continue;
            }
            let key = key(service, &said.id);
            let start = said.start.unwrap_or(now.as_millis());
            let new =
                || Kept { id: said.id.clone(), service: service.to_owned(), created_ms: start, ..Kept::default() };
            let mut job = self.stored_job(oid, &key).await?.unwrap_or_else(new);
            let merged = job.merge(said.clone(), now);
            let body = serde_json::to_string(&job).unwrap_or_default();
            match merged {
                Err(reason) => refused = Some(reason),
                Ok(()) if body.len() > JOB_BYTES_MAX => {
                    refused = Some(format!("job {} exceeds {JOB_BYTES_MAX} bytes; what is new was dropped", said.id));
                }
                Ok(()) => self.store_job(oid, key, job, body).await?,
            }
        }
        Ok(refused)
    }

    async fn store_job(&self, oid: Oid, key: String, job: Kept, body: String) -> Result<(), Error> {
        let oldest = {
            let index = self.jobs.index.lock();
            let jobs = index.get(&oid).filter(|jobs| jobs.len() >= JOBS_MAX && !jobs.contains_key(&key));
            jobs.and_then(|jobs| jobs.iter().min_by_key(|(_, job)| job.changed_at).map(|(key, _)| key.clone()))
        };
        let mut writes = vec![JOB.write(oid, &key, body)];
        writes.extend(oldest.iter().map(|oldest| JOB.removal(oid, oldest)));
        self.store.commit(writes).await?;
        let mut index = self.jobs.index.lock();
        let jobs = index.entry(oid).or_default();
        oldest.into_iter().for_each(|oldest| drop(jobs.remove(&oldest)));
        jobs.insert(key, Kept { history: Vec::new(), ..job });
        Ok(())
    }

    async fn stored_job(&self, oid: Oid, key: &str) -> Result<Option<Kept>, Error> {
        let key = key.to_owned();
        let found = self.store.read(move |read| read.record(oid, WORD, &key)).await?;
        Ok(found.and_then(|record| serde_json::from_str(&record.body).ok()))
    }

    /// Jobs that began in a span of milliseconds, newest first, without their history.
    #[must_use]
    pub fn jobs(&self, oid: Oid, from_ms: i64, to_ms: i64, sid: Option<&str>, most: usize) -> Vec<Kept> {
        let index = self.jobs.index.lock();
        let jobs = index.get(&oid).into_iter().flat_map(BTreeMap::values);
        let is_of = |job: &&Kept| sid.is_none_or(|sid| job.sids.iter().any(|of| of == sid));
        let mut jobs: Vec<Kept> =
            jobs.filter(|job| (from_ms..=to_ms).contains(&job.created_ms)).filter(is_of).cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.created_ms));
        jobs.truncate(most);
        jobs
    }

    /// A job with its history, by the id that a service gave it; the newest, should two services have given the same.
    ///
    /// # Errors
    ///
    /// [`Error::NoJob`], and whatever the store says.
    pub async fn job(&self, oid: Oid, id: &str) -> Result<Kept, Error> {
        let key = self.key_of_job(oid, id).ok_or(Error::NoJob)?;
        let mut job = self.stored_job(oid, &key).await?.ok_or(Error::NoJob)?;
        // Answers may come out of order.
        job.history.sort_by_key(|entry| entry.ts);
        Ok(job)
    }

    /// What forgets a job: to be stored, and then [`Services::forgot_job`] to be called.
    ///
    /// # Errors
    ///
    /// [`Error::NoJob`].
    pub fn removal_of_job(&self, oid: Oid, id: &str) -> Result<Write, Error> {
        let key = self.key_of_job(oid, id).ok_or(Error::NoJob)?;
        Ok(JOB.removal(oid, &key))
    }

    /// The removal of a job is stored.
    pub fn forgot_job(&self, oid: Oid, id: &str) {
        let Some(key) = self.key_of_job(oid, id) else { return };
        if let Some(jobs) = self.jobs.index.lock().get_mut(&oid) {
            jobs.remove(&key);
        }
    }

    fn key_of_job(&self, oid: Oid, id: &str) -> Option<String> {
        let index = self.jobs.index.lock();
        let jobs = index.get(&oid)?.iter().filter(|(_, job)| job.id == id);
        jobs.max_by_key(|(_, job)| job.changed_at).map(|(key, _)| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_21_1_17_what_comes_later_is_added_and_the_newest_word_is_known_whatever_the_order() {
        let (then, mut kept) = (Timestamp::from_secs(100), Kept::default());
        let entry = |ts: i64, msg: &str| Entry { ts, msg: msg.into(), ..Entry::default() };
        let first = Job { id: "j".into(), cause: Some("why".into()), sid: vec!["a".into()], ..Job::default() };
        kept.merge(first, then).expect("taken");
        let later = Job { sid: vec!["a".into(), "b".into()], hist: vec![entry(9, "nine")], ..Job::open("j") };
        kept.merge(later, then).expect("taken");
        kept.merge(Job { hist: vec![entry(3, "three")], end: Some(10), ..Job::open("j") }, then).expect("taken");
        assert_eq!((kept.cause.as_str(), kept.last_narration.as_str(), kept.stopped_ms), ("why", "nine", Some(10)));
        assert_eq!(kept.sids, ["a", "b"]);
        let many = Job { sid: (0..=SENSORS_MAX).map(|n| n.to_string()).collect(), ..Job::open("j") };
        assert!(kept.merge(many, then).is_err());
    }
}
