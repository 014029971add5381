//! What is said about live sessions.
//!
//! The server opens a session, hands out its commands in the order of their numbers, and closes it. The sensor says
//! what it begins and what came of it, and keeps each end until the server says that it is stored. Sensors that do not
//! know these messages pass over them: their sessions wait and time out, as those of sensors that are offline.

#![allow(missing_docs, reason = "the protobuf derive generates accessors that cannot be documented")]

use prost::Message;

/// What the server says about one live session.
#[derive(Clone, PartialEq, Message)]
pub struct LiveOrder {
    /// Number of the session within its organization, from 1; never used again.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    #[prost(oneof = "live_order::What", tags = "2, 3, 4, 5, 6")]
    pub what: Option<live_order::What>,
}

/// Kinds of [`LiveOrder`]. Numbers are those of commands, from 0 in each session.
pub mod live_order {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum What {
        /// Enter the session, or say again that you are in it.
        #[prost(message, tag = "2")]
        Open(super::LiveOpen),
        /// Carry out a command, unless you know its number already.
        #[prost(message, tag = "3")]
        Run(super::LiveRun),
        /// Do not begin this command.
        #[prost(uint32, tag = "4")]
        Cancel(u32),
        /// Leave the session: begin nothing more.
        #[prost(message, tag = "5")]
        Close(super::LiveClose),
        /// The end of this command is stored, and can be forgotten.
        #[prost(uint32, tag = "6")]
        Stored(u32),
    }
}

/// Opens a session.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct LiveOpen {
    /// A sensor that hears nothing for so long leaves the session by itself.
    #[prost(uint64, tag = "1")]
    pub idle_ms: u64,
}

/// Closes a session.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct LiveClose {}

/// A command of a session.
#[derive(Clone, PartialEq, Message)]
pub struct LiveRun {
    #[prost(uint32, tag = "1")]
    pub command: u32,
    /// The order as JSON text (`muster_live::Order`).
    #[prost(bytes = "vec", tag = "2")]
    pub order: Vec<u8>,
    /// Time from its start, after which it is given up.
    #[prost(uint64, tag = "3")]
    pub timeout_ms: u64,
    /// The file that it moves, if it moves one.
    #[prost(message, optional, tag = "4")]
    pub file: Option<LiveFile>,
}

/// A file of the server that a command reads or fills. Its token is in no log: see its `Debug`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct LiveFile {
    #[prost(string, tag = "1")]
    pub token: String,
    /// Bytes of a file that goes to the endpoint.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// SHA-256 (32 bytes) of a file that goes to the endpoint.
    #[prost(bytes = "vec", tag = "3")]
    pub sha256: Vec<u8>,
}

impl std::fmt::Debug for LiveFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveFile").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What the sensor says about one live session.
#[derive(Clone, PartialEq, Message)]
pub struct LiveReport {
    #[prost(uint64, tag = "1")]
    pub session: u64,
    #[prost(oneof = "live_report::What", tags = "2, 3, 4, 5, 6")]
    pub what: Option<live_report::What>,
}

/// Kinds of [`LiveReport`].
pub mod live_report {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum What {
        /// The sensor is in the session.
        #[prost(message, tag = "2")]
        Joined(super::LiveJoined),
        /// This command has begun: it cannot be cancelled any more.
        #[prost(uint32, tag = "3")]
        Started(u32),
        /// How far a command has come.
        #[prost(message, tag = "4")]
        Progress(super::LiveProgress),
        /// A command has ended. Said again at each connection until it is stored.
        #[prost(message, tag = "5")]
        Ended(super::LiveEnded),
        /// This command was cancelled before it began.
        #[prost(uint32, tag = "6")]
        Cancelled(u32),
    }
}

/// What the sensor is, and where it stands.
#[derive(Clone, PartialEq, Message)]
pub struct LiveJoined {
    /// Random id (16 bytes) of this run of the sensor: what an earlier run had begun is not known to this one.
    #[prost(bytes = "vec", tag = "1")]
    pub instance: Vec<u8>,
    #[prost(string, tag = "2")]
    pub working_directory: String,
    #[prost(string, repeated, tag = "3")]
    pub drives: Vec<String>,
    /// Names of the commands that can be carried out here.
    #[prost(string, repeated, tag = "4")]
    pub commands: Vec<String>,
    #[prost(string, tag = "5")]
    pub os_version: String,
}

/// How far a command has come.
#[derive(Clone, PartialEq, Message)]
pub struct LiveProgress {
    #[prost(uint32, tag = "1")]
    pub command: u32,
    /// What is known so far, as JSON text (`muster_live::Found`).
    #[prost(bytes = "vec", tag = "2")]
    pub found: Vec<u8>,
}

/// How a command ended.
#[derive(Clone, PartialEq, Message)]
pub struct LiveEnded {
    #[prost(uint32, tag = "1")]
    pub command: u32,
    /// Win32 error code; 0 is success.
    #[prost(uint32, tag = "2")]
    pub code: u32,
    /// Readable reason; empty on success.
    #[prost(string, tag = "3")]
    pub text: String,
    /// What was found, as JSON text (`muster_live::Found`).
    #[prost(bytes = "vec", tag = "4")]
    pub found: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromSensor, FromServer, from_server};

    #[test]
    fn a_side_that_does_not_know_live_sessions_passes_over_them() {
        /// [`FromServer`] as it was before.
        #[derive(Clone, PartialEq, Message)]
        struct Before {
            #[prost(oneof = "Known", tags = "10")]
            message: Option<Known>,
        }
        #[derive(Clone, PartialEq, prost::Oneof)]
        enum Known {
            #[prost(message, tag = "10")]
            Recall(crate::Recall),
        }
        let what = Some(live_order::What::Open(LiveOpen { idle_ms: 1 }));
        let said = FromServer { message: Some(from_server::Message::Live(LiveOrder { session: 7, what })) };
        assert_eq!(Before::decode(said.encode_to_vec().as_slice()), Ok(Before { message: None }));
    }

    #[test]
    fn the_token_of_a_file_is_not_printed() {
        let run =
            LiveRun { file: Some(LiveFile { token: "SECRET".into(), ..LiveFile::default() }), ..LiveRun::default() };
        let what = Some(live_order::What::Run(run));
        assert!(!format!("{:?}", LiveOrder { session: 1, what }).contains("SECRET"));
        assert_eq!(FromSensor::default().message, None);
    }
}
