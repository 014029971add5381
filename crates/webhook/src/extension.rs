//! The extension protocol: actions with a schema, a stored configuration, continuations, metrics.
//!
//! Source: reference/extension-protocol.md.

mod acl;
mod adapter;
mod answer;
mod check;
mod message;
mod schema;
mod verdict;

pub use acl::Acl;
pub use adapter::{adapter_tag, hook_secret};
pub use answer::{Answer, Continuation, Metric, MetricReport};
pub use check::{Refusal, check_action, check_config, reveal};
pub use message::{
    Action, ConfValidation, ErrorReport, Event, Message, MessageError, Org, ResourceState, SUBSCRIBE, Subject,
    UNSUBSCRIBE, UPDATE, VERSION,
};
pub use schema::{ActionSchema, DataType, Element, ObjectSchema, Schema, View};
pub use verdict::{Verdict, judge};

/// Largest message on the wire when it is compressed. Source: reference/extension-protocol.md section 2.
pub const WIRE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest message as JSON text. Source: reference/extension-protocol.md section 2.
pub const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
