//! Endpoint command lines: tokens, options, and the table of commands.
//!
//! An operator writes one line of text for an endpoint, such as
//! `file_get -o 10 "/var/log/my app.log"`. The server parses it to refuse what
//! cannot work before anything is sent; the sensor parses it again to carry it
//! out. Both use this crate, so they cannot disagree.
//!
//! ```
//! use muster_command::Command;
//!
//! let command = Command::parse(r#"file_get -o 10 "/var/log/my app.log""#)?;
//! assert_eq!(command.spec.request(), "FILE_GET_REQ");
//! assert_eq!(command.arguments.number("offset"), Some(10));
//! assert_eq!(command.arguments.text("file"), Some("/var/log/my app.log"));
//! # Ok::<(), muster_command::CommandError>(())
//! ```
//!
//! # What is not here
//!
//! Whether an event name, a payload or a stored YARA rule exists: the server
//! knows that. Paths are not looked at, `%NAME%` is not expanded: the sensor
//! does that. Source: reference/commands.md sections 2 to 5.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod argument;
mod command;
mod error;
mod reader;
mod spec;
mod table;
mod token;
mod value;

pub use argument::{Argument, Element, Kind, Need, Place};
pub use command::{Arguments, BATCH_LINES_MAX, Command};
pub use error::CommandError;
pub use spec::{Confirm, Reply, Rule, Spec};
pub use table::{aliases, commands, find};
pub use token::{COMMAND_BYTES_MAX, split_arguments, tokenize};
