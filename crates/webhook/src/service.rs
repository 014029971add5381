//! The service protocol: one signed JSON object per event, one JSON object back.
//!
//! Source: reference/service-protocol.md.

mod answer;
mod envelope;
mod etype;
mod health;
mod interactive;
mod job;
mod parameter;
mod resource;
mod schedule;
mod verdict;

pub use answer::Answer;
pub use envelope::{DEADLINE_S, Envelope, EnvelopeError, VERSION};
pub use etype::{Etype, Per, Period};
pub use health::{Health, Metadata};
pub use interactive::{Incomplete, InvestigationId, callback_key, detection_name, interactive_rule, root_id};
pub use job::{Attachment, Entry, Job, JobError};
pub use parameter::{Parameter, ParameterKind, Parameters, check as check_parameters};
pub use resource::{Names, Resource, ResourceAnswer, ResourceRequest};
pub use schedule::{Progress, Turn};
pub use verdict::{Verdict, judge};

/// Largest body of a request: what the container transport of the framework in use accepts.
/// Source: reference/service-protocol.md section 2.
pub const REQUEST_BYTES_MAX: usize = 50 * 1024 * 1024;

/// Sender that services see. Source: reference/service-protocol.md section 2.
pub const USER_AGENT: &str = "lc-services";
