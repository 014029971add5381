//! Typed client of the REST API, as the command line and other programs of muster use it.
//!
//! [`Client::new`] takes [`Settings`]; it exchanges the API key for a token when
//! it first needs one, and again when the server says that the token is over.
//! Requests and answers are the types of `muster-api-types`, by which the server reads and
//! writes them; fields of a newer server are passed over. Kept records and what programs of
//! others answer are JSON as it came: their fields are not the server's.
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
pub use history::{Historic, History, Span};
pub use hive::HiveChange;
pub use infrastructure::{PushMode, Sections};
pub use muster_api_types::{
    ApiKey, Artifact, CancelledTask, Conditions, CreatedTask, Deliveries, Delivery, ErrorCode, Explained,
    ExtensionSchema, FailureLimit, HiveRecord, InfrastructureOperation, InfrastructurePush, InstallationKey, Job,
    LinkPurpose, LiveCommandV3, LiveFile, LiveMoved, LiveSessionV3, LiveTranscript, LiveTyped, NewApiKey, NewLink,
    NewTask, NewUserKey, OrgError, Organization, Output, Pace, Payload, PendingTask, PendingTasks, RegisteredExtension,
    RegisteredProgram, RegisteredService, Replay, Rule, SensorTags, ServiceMetadata, SystemMetadata, TagCarriers,
    Target, Targeting, TaskPage, TaskPreview, TaskSummary, Untasked, UserKeys, UserMetadata, Whoami, Window,
};
pub use program::{NewProgram, Program, Protocol};
pub use sensor::{Listing, Sensor, SensorState};
pub use stream::{Filter, RecordStream, StreamKind};
pub use transport::{Client, Settings};
