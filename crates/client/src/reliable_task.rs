//! Reliable tasks, through the extension `ext-reliable-tasking`.
//!
//! Source: reference/rest-api.md section 10.3; the actions beyond it are ours.

use crate::{Client, ClientError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use muster_api_types::{
    CancelledTask, CreatedTask, Explained, NewTask, PendingTasks, Targeting, TaskOverview, TaskPage, TaskPreview,
    TaskSummary, Untasked,
};
use reqwest::Method;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const EXTENSION: &str = "ext-reliable-tasking";

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// Data as extensions take it whatever its size: base64 of gzip of JSON.
fn packed(data: &Value) -> Result<String, ClientError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let cannot = |error: std::io::Error| ClientError::Settings(format!("the request cannot be packed: {error}"));
    serde_json::to_writer(&mut gzip, data).map_err(|error| cannot(error.into()))?;
    gzip.finish().map(|bytes| STANDARD.encode(bytes)).map_err(cannot)
}

impl Client {
    /// Asks an extension for something; gives the action's own answer.
    ///
    /// # Errors
    ///
    /// 403 if the organization is not subscribed; else whatever the extension says.
    pub async fn request_extension<T: DeserializeOwned>(
        &self,
        extension: &str,
        action: &str,
        data: &Value,
    ) -> Result<T, ClientError> {
        let form = vec![("oid", self.oid().to_owned()), ("action", action.to_owned()), ("gzdata", packed(data)?)];
        let path = ["extension", "request", extension];
        Ok(self.call::<Envelope<T>>(Method::POST, &path, Vec::new(), form).await?.data)
    }

    async fn reliable_tasking<T: DeserializeOwned>(&self, action: &str, data: &Value) -> Result<T, ClientError> {
        self.request_extension(EXTENSION, action, data).await
    }

    /// Creates a reliable task; once this answers, the task is durable.
    ///
    /// # Errors
    ///
    /// 400 naming the field that is wrong.
    pub async fn create_reliable_task(&self, task: &NewTask) -> Result<CreatedTask, ClientError> {
        self.reliable_tasking("task", &value_of(task)).await
    }

    /// What sensors are still owed, by task and by sensor.
    ///
    /// # Errors
    ///
    /// 400 for a selector that is wrong.
    pub async fn pending_reliable_tasks(&self, targeting: &Targeting) -> Result<PendingTasks, ClientError> {
        self.reliable_tasking("list", &value_of(targeting)).await
    }

    /// The newest reliable tasks, with their counts.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn reliable_tasks(&self, limit: usize) -> Result<Vec<TaskSummary>, ClientError> {
        Ok(self.reliable_tasking::<TaskOverview>("overview", &json!({"limit": limit})).await?.requests)
    }

    /// One reliable task, with a page of its targets.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task, 400 for an unknown state.
    pub async fn reliable_task(
        &self,
        task_id: &str,
        state: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<TaskPage, ClientError> {
        let data = json!({"task_id": task_id, "state": state, "cursor": cursor, "limit": limit});
        self.reliable_tasking("get", &data).await
    }

    /// Why a sensor has, had, or does not have a task.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task or sensor.
    pub async fn explain_reliable_task(&self, task_id: &str, sid: &str) -> Result<Explained, ClientError> {
        self.reliable_tasking("explain", &json!({"task_id": task_id, "sid": sid})).await
    }

    /// Whom a task would reach now; changes nothing.
    ///
    /// # Errors
    ///
    /// 400 for a selector that is wrong.
    pub async fn preview_reliable_task(&self, targeting: &Targeting, limit: usize) -> Result<TaskPreview, ClientError> {
        let mut data = value_of(targeting);
        data["limit"] = json!(limit);
        self.reliable_tasking("preview", &data).await
    }

    /// Takes tasks back: of one id, of some sensors, or both.
    ///
    /// # Errors
    ///
    /// 400 if neither is given.
    pub async fn untask(&self, task_id: Option<&str>, targeting: &Targeting) -> Result<Untasked, ClientError> {
        let mut data = value_of(targeting);
        if let Some(task_id) = task_id {
            data["task_id"] = json!(task_id);
        }
        self.reliable_tasking("untask", &data).await
    }

    /// Ends a task: on the sensors that are named, or on all. What was not delivered is taken back, what runs is
    /// stopped.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task.
    pub async fn cancel_reliable_task(
        &self,
        task_id: &str,
        targeting: &Targeting,
    ) -> Result<CancelledTask, ClientError> {
        let mut data = value_of(targeting);
        data["task_id"] = json!(task_id);
        self.reliable_tasking("cancel", &data).await
    }

    /// Holds a task back, or lets it go on.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task.
    pub async fn set_paused(&self, task_id: &str, paused: bool) -> Result<(), ClientError> {
        let action = if paused { "pause" } else { "resume" };
        self.reliable_tasking::<IgnoredAny>(action, &json!({"task_id": task_id})).await.map(drop)
    }
}

fn value_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
