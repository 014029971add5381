//! Direct tasks: now, or not at all. Source: reference/rest-api.md section 7.2.

use crate::{Client, ClientError, Filter, StreamKind};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// After an answer, more of them may follow; this silence ends them.
/// Source: reference/rest-api.md section 9.1.
const SILENCE_AFTER_ANSWER: Duration = Duration::from_secs(2);

/// Event type by which the server says that it took a task; it is no answer.
const ACCEPTED: &str = "CLOUD_NOTIFICATION";

/// Answers kept of one task.
const ANSWERS_MAX: usize = 100_000;

impl Client {
    /// Sends a command line to a sensor that is online; its answers are events
    /// that carry the investigation id.
    ///
    /// # Errors
    ///
    /// 400 if the command is wrong or the sensor is offline, 404 for an unknown sensor.
    pub async fn task(&self, sid: &str, command: &str, investigation_id: Option<&str>) -> Result<(), ClientError> {
        let mut form = vec![("tasks", command.to_owned())];
        form.extend(investigation_id.map(|id| ("investigation_id", id.to_owned())));
        self.act(Method::POST, &[sid], form).await
    }

    /// Sends a command line and gathers its answers, until nothing more comes after
    /// the first or `wait` is over. `investigation_id` must be one that nobody else uses.
    ///
    /// # Errors
    ///
    /// As [`Client::task`] and [`Client::stream`].
    pub async fn task_and_wait(
        &self,
        sid: &str,
        command: &str,
        investigation_id: &str,
        wait: Duration,
    ) -> Result<Vec<Value>, ClientError> {
        let filter = Filter { investigation_id: Some(investigation_id.to_owned()), ..Filter::default() };
        // Connected first: an answer may come before the call that asks for it returns.
        let mut stream = self.stream(StreamKind::Event, &filter).await?;
        self.task(sid, command, Some(investigation_id)).await?;
        let last = Instant::now() + wait;
        let mut until = last;
        let mut answers = Vec::new();
        while let Ok(record) = timeout_at(until, stream.next()).await {
            let Some(record) = record? else { break };
            let event_type = record.pointer("/routing/event_type").and_then(Value::as_str);
            if event_type.is_none_or(|event_type| event_type == ACCEPTED) {
                continue;
            }
            answers.push(record);
            if answers.len() >= ANSWERS_MAX {
                break;
            }
            until = last.min(Instant::now() + SILENCE_AFTER_ANSWER);
        }
        Ok(answers)
    }
}
