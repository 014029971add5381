//! Why an order is not taken, or not found.

use super::direct::COMMANDS_MAX;
use crate::payload;
use muster_command::CommandError;
use muster_store::StoreError;
use muster_tasking::{CONTEXT_BYTES_MAX, SpecError};

/// Why an order is not taken, or not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A command line cannot be read, or the sensor cannot carry it out.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// What is asked for is out of bounds.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A command names a payload that is not there.
    #[error(transparent)]
    Payload(#[from] payload::Error),
    /// Another request has this id.
    #[error("task_id is taken by a request that asks for something else")]
    IdTaken,
    /// There is no such task.
    #[error("no such task")]
    NoTask,
    /// There is no such sensor.
    #[error("sensor not found")]
    NoSensor,
    /// Direct tasks go to sensors that are online.
    #[error("sensor not online")]
    Offline,
    /// It has as many tasks as it can keep in mind.
    #[error(
        "the sensor takes no more tasks now: too many have not ended there, or it waits for word that their ends are \
         stored. Wait, or cancel some (explain tells which states its tasks have)"
    )]
    SensorFull,
    /// It is too late to send it.
    #[error("the task's time had passed before it could be sent")]
    Late,
    /// There is nothing to send.
    #[error("tasks is required: at least one command line")]
    NoCommand,
    /// That is too much for one call.
    #[error("at most {COMMANDS_MAX} tasks in one call")]
    TooManyCommands,
    /// The investigation id is too long.
    #[error("investigation_id must be at most {CONTEXT_BYTES_MAX} bytes")]
    ContextTooLong,
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// What the store said, if that is why.
    #[must_use]
    pub fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
