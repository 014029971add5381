//! Jobs of services. Source: reference/service-protocol.md section 10.

use crate::{Client, ClientError, Rest};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A job: what a service says of its work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The id that the service gave it.
    pub job_id: String,
    /// The service.
    #[serde(default)]
    pub replicant: String,
    /// Why it was made.
    #[serde(default)]
    pub cause: String,
    /// When it began, in milliseconds since 1970.
    #[serde(default)]
    pub created: i64,
    /// When it ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<i64>,
    /// The newest message of its history.
    #[serde(default)]
    pub last_narration: String,
    /// All else; the history is `record.hist`.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Client {
    /// The newest jobs, by id.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn jobs(&self) -> Result<BTreeMap<String, Job>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            jobs: BTreeMap<String, Job>,
        }
        Ok(self.get::<Answer>(&["job", self.oid()], Vec::new()).await?.jobs)
    }

    /// A job with its history.
    ///
    /// # Errors
    ///
    /// 404 if there is none of this id.
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            job: Job,
        }
        Ok(self.get::<Answer>(&["job", self.oid(), id], Vec::new()).await?.job)
    }

    /// Deletes a job.
    ///
    /// # Errors
    ///
    /// As [`Client::job`].
    pub async fn delete_job(&self, id: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["job", self.oid(), id], Vec::new()).await
    }
}
