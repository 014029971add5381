//! Write services and extensions: programs of your own that a muster server calls.
//!
//! A **service** is told what happens (an organization subscribed, a rule detected something, an hour went by,
//! somebody asks for something) and answers. An **extension** offers actions with a schema and has a configuration
//! per organization. Both are passive HTTP endpoints: the server posts them signed JSON, and they use the REST API
//! with the token that came along.
//!
//! # A service
//!
//! Implement [`Service`], one method per event that you care for. What you leave out is never sent to you.
//!
//! ```
//! use muster_service::{Answer, Call, Harness, Outcome, Program, Service, Settings};
//! use serde_json::json;
//! use std::sync::Arc;
//!
//! struct Greeter;
//!
//! impl Service for Greeter {
//!     async fn on_request(self: Arc<Self>, call: Call) -> Outcome {
//!         let name = call.text("name").unwrap_or("stranger");
//!         Ok(Answer::done().with("greeting", json!(format!("Hello, {name}!"))))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let program = Program::new(Greeter, Settings::new("greeter", Some("the shared secret")));
//! let harness = Harness::new(program);
//! let answer = harness.send("request", json!({"name": "Ada"})).await;
//! assert_eq!(answer.body["data"]["greeting"], "Hello, Ada!");
//! # }
//! ```
//!
//! What a callback returns decides what the server does:
//!
//! | it returns | the server |
//! |---|---|
//! | `Ok(Answer::done())` | is content |
//! | `Ok(Answer::failed())` | reports a failure, and does not try again |
//! | `Ok(Answer::again())` | delivers the event again, under the same message id |
//! | an [`Answer`] with data, an error, jobs | does what the answer says |
//! | `Err(…)`, or it panics | reports the text, and delivers the event again |
//!
//! # Serving it
//!
//! [`run`] serves a program until it is told to stop; [`serve`] does so on a listener of your own. Where functions are
//! a service, hand each request to [`Handler::receive`]: headers and body in, status and body out.
//!
//! ```no_run
//! # use muster_service::{Program, Service, Settings};
//! # struct Greeter;
//! # impl Service for Greeter {}
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     // LC_SHARED_SECRET, LC_API_URL, and PORT or LISTEN come from the environment.
//!     muster_service::run(Program::new(Greeter, Settings::from_env("greeter"))).await
//! }
//! ```
//!
//! # An extension
//!
//! ```
//! use muster_service::extension::{ActionSchema, DataType, Element, Extension, ObjectSchema};
//! use muster_service::{Harness, Settings};
//! use serde_json::json;
//!
//! #[derive(serde::Deserialize)]
//! struct Ping { text: String }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let parameters = ObjectSchema::default().field("text", Element::new(DataType::String, "Text", "what to send back"));
//! let extension = Extension::new(Settings::new("echo", Some("the shared secret")))
//!     .action("ping", ActionSchema::new("Ping", "Send a text back", parameters), async |call| {
//!         let ping: Ping = call.data()?;
//!         Ok(json!({"pong": ping.text}).into())
//!     });
//! let harness = Harness::new(extension);
//! let answer = harness.action("ping", json!({"text": "hi"})).await;
//! assert_eq!(answer.body["data"]["pong"], "hi");
//! # }
//! ```
//!
//! # What holds
//!
//! * A body is looked at only after its signature was found right. Without a secret everything is accepted, and said so in the log.
//! * A panic in a callback ends that call, not the program.
//! * No log line holds a token or a secret.
//! * A callback runs to its end even if the server hangs up meanwhile.
//! * The same event may come more than once: [`Call::mid`] is then the same.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
#![deny(missing_docs)]

mod background;
mod call;
pub mod extension;
mod harness;
mod http_server;
mod interactive;
mod log;
mod outcome;
mod program;
mod service;
mod settings;

pub use background::{Background, Full, NoResult, parallel};
pub use call::Call;
pub use harness::{Harness, Received};
pub use http_server::{CONNECTIONS_MAX, Handler, Response, run, serve};
pub use interactive::{Replies, Reply, Target};
pub use log::{Log, Stream};
pub use muster_client::{Client, ClientError};
pub use muster_model::{Oid, Sid, Timestamp};
pub use muster_webhook::service::{
    Answer, Attachment, Entry, Etype, Job, JobError, Parameter, Parameters, Per, Period, Resource,
};
pub use outcome::{Error, Outcome};
pub use program::{Handle, Program};
pub use service::Service;
pub use settings::Settings;

/// Now, by the clock of this machine.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A fresh random id.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate")]
fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
