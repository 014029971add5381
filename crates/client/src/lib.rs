//! Typed client of the REST API, as the command line and other programs of muster use it.
//!
//! [`Client::new`] takes [`Settings`]; it exchanges the API key for a token when
//! it first needs one, and again when the server says that the token is over.
//! Answers are the types of `muster-api-types`, by which the server writes them. Where
//! programs look at some fields alone they are structs of those, each with `rest` for all
//! others. Printing one gives what the server said.
//!
//! Source: reference/rest-api.md.

#![forbid(unsafe_code)]

mod error;
mod extension;
mod file;
mod history;
mod hive;
mod hook;
mod infrastructure;
mod job;
mod key;
mod live;
mod organization;
mod output;
mod program;
mod reliable_task;
mod rule;
mod sensor;
mod service;
mod stream;
mod tag;
mod task;
mod transport;
mod user;

pub use error::ClientError;
pub use file::ArtifactContent;
pub use history::{Historic, History, Span};
pub use hive::{HiveChange, HiveRecord, SystemMetadata, UserMetadata};
pub use infrastructure::{Operation, PushMode, Pushed, Sections};
pub use job::Job;
pub use live::{LiveCommand, LiveFile, LiveMoved, LiveSession, LiveTranscript, LiveTyped};
pub use muster_api_types::{
    ApiKey, Artifact, ErrorCode, InstallationKey, LinkPurpose, NewApiKey, NewLink, NewUserKey, OrgError, Payload,
    UserKeys, Whoami,
};
pub use output::Output;
pub use program::{NewProgram, Protocol, RegisteredProgram};
pub use reliable_task::{
    Cancelled, Conditions, Created, Explained, FailureLimit, NewTask, Pace, Preview, Previewed, Summary, Target,
    TargetPage, Targeting, Untasked, Window,
};
pub use sensor::{Listing, Sensor, SensorState};
pub use service::{ServiceDeliveries, ServiceDelivery};
pub use stream::{Filter, RecordStream, StreamKind};
pub use transport::{Client, Settings};

/// What the server said beyond the fields that are named.
pub type Rest = serde_json::Map<String, serde_json::Value>;
