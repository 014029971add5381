//! What the REST API takes and answers, once for the server and for its clients.
//!
//! Pure: no runtime, no files, no clock.
//!
//! Source: reference/rest-api.md section 4.

#![forbid(unsafe_code)]

mod code;

pub use code::{ErrorCode, UnknownCode};
