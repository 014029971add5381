//! Jobs of services. Source: reference/service-protocol.md section 10.

use crate::{Client, ClientError};
use muster_api_types::{Job, JobAnswer, JobOrPacked, Jobs, JobsById};
use reqwest::Method;
use std::collections::BTreeMap;

impl Client {
    /// The newest jobs, by id.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn jobs(&self) -> Result<BTreeMap<String, Job>, ClientError> {
        match self.get::<Jobs>(&["job", self.oid()], Vec::new()).await?.jobs {
            JobsById::Map(jobs) => Ok(jobs),
            JobsById::Compressed(_) => Err(packed()),
        }
    }

    /// A job with its history.
    ///
    /// # Errors
    ///
    /// 404 if there is none of this id.
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        match self.get::<JobAnswer>(&["job", self.oid(), id], Vec::new()).await?.job {
            JobOrPacked::Job(job) => Ok(*job),
            JobOrPacked::Compressed(_) => Err(packed()),
        }
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

fn packed() -> ClientError {
    ClientError::Answer("it is compressed, which was not asked for".into())
}
