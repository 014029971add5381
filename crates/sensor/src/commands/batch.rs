//! `batch`: command lines one after the other, as one task.

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Failure, Job, Kind, Outcome, code, fields};
use crate::agent::{Run, Verdict};
use crate::executor::{self, ToSensor};

/// Carries out one line after the other, until one fails. Each answers as it would by itself, and the next begins once
/// that is durable, so that what came before a crash is known; the answer of the batch tells how each ended.
pub(super) async fn batch(mut job: Job) -> Outcome {
    let (steps, lines) = (std::mem::take(&mut job.steps), job.arguments.list("line"));
    let mut ended = Vec::with_capacity(steps.len());
    for (at, (step, line)) in steps.into_iter().zip(lines).enumerate() {
        if job.is_over() {
            let failure = Failure::new(code::CANCELLED, format!("stopped before line {}", at + 1));
            return Err(failure.with(fields(told(&ended))));
        }
        let run = Run { command: line.clone(), ..job.run.clone() };
        let done = executor::perform(step, run, &job.tools, &job.stop).await;
        let (waiting, durable) = oneshot::channel();
        let is_said = job.tools.to_sensor.send(ToSensor::Said(done.events, waiting)).await.is_ok();
        if !is_said || durable.await.is_err() {
            // Its disk fails, or it ends; the task is found interrupted at its next start.
            return Err(Failure::new(code::CANCELLED, format!("the sensor stopped after line {}", at + 1)));
        }
        let (kind, error, message) = match done.verdict {
            Verdict::Finished(error, message) => (Kind::Failed, error, message),
            Verdict::Refused(error, message) => (Kind::Refused, error, message),
            Verdict::Unsupported(message) => (Kind::Unsupported, code::NOT_SUPPORTED, message),
            Verdict::Cancelled(message) => (Kind::Failed, code::CANCELLED, message),
        };
        ended.push(json!({"COMMAND_LINE": line, "ERROR": error, "ERROR_MESSAGE": message}));
        if !matches!(error, 0 | code::TRANSFERRED) {
            let why = if message.is_empty() { format!("it ended with {error}") } else { message };
            let text = format!("line {} of {} failed: {why}", at + 1, lines.len());
            // Lines before it have had their effect.
            let kind = if at == 0 { kind } else { Kind::Failed };
            return Err(Failure { kind, ..Failure::new(error, text) }.with(fields(told(&ended))));
        }
    }
    Ok(fields(told(&ended)))
}

fn told(ended: &[Value]) -> Value {
    json!({"STEPS": ended})
}
