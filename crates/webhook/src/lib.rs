//! What the server says to services and extensions, what they answer, and how it is signed. Sans-IO.
//!
//! A service or an extension is a program of somebody else behind an HTTP endpoint. The server posts it one
//! JSON object per event and reads one JSON object back. There are two protocols:
//!
//! * [`service`]: events of an organization, cron ticks, requests, resources and jobs.
//! * [`extension`]: actions with a schema, a stored configuration, continuations and metrics.
//!
//! Both sides use these types: the server writes an [`service::Envelope`] and judges what came back
//! ([`service::judge`]), the crate `service` reads the envelope and writes the [`service::Answer`].
//! Time and randomness are arguments.
//!
//! Source: reference/service-protocol.md and reference/extension-protocol.md.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]
#![deny(missing_docs)]

pub mod canonical;
pub mod extension;
mod lenient;
pub mod service;
mod signature;

pub use signature::{EXTENSION_HEADER, Incremental, SERVICE_HEADER, is_signed, sign};
