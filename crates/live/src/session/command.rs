//! Commands of a session.

use crate::Order;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// A command as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// The request, but for the id of its session.
    pub object: Map<String, Value>,
    /// What it means.
    pub order: Order,
    /// Seconds from its start, after which it is given up.
    pub timeout_s: u32,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Id of the file that it moves.
    pub file: Option<String>,
}

/// How a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has not begun.
    Pending,
    /// It runs.
    Running,
    /// It succeeded.
    Complete,
    /// It failed.
    Failed,
    /// It will never begin.
    Cancelled,
}

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Win32, of the sensor.
    Win32,
    /// Of the server: 2 the sensor was lost while it ran, 3 the session ended before it ran.
    /// Source: reference/live-response.md section 8.4.
    Server,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// 0 is success.
    pub code: u32,
    /// Whose code it is.
    pub kind: Kind,
    /// For people.
    pub text: String,
    /// When.
    pub at: Timestamp,
    state: State,
    /// The server concluded it without the sensor, which may know better.
    is_guess: bool,
}

impl Ended {
    pub(super) fn of_sensor(code: u32, text: String, at: Timestamp) -> Self {
        let state = if code == 0 { State::Complete } else { State::Failed };
        Self { code, kind: Kind::Win32, text, at, state, is_guess: false }
    }

    pub(super) fn cancelled(at: Timestamp) -> Self {
        let text = "cancelled before it began".to_owned();
        let (code, kind, state) = (crate::Code::CANCELLED.0, Kind::Win32, State::Cancelled);
        Self { code, kind, text, at, state, is_guess: false }
    }

    pub(super) fn cancelled_by_close(at: Timestamp) -> Self {
        Self { text: "the session was closed before it began".to_owned(), is_guess: true, ..Self::cancelled(at) }
    }

    fn of_server(code: u32, text: &str, at: Timestamp) -> Self {
        Self { code, kind: Kind::Server, text: text.to_owned(), at, state: State::Failed, is_guess: true }
    }

    pub(super) fn lost(at: Timestamp) -> Self {
        Self::of_server(2, "the sensor was lost while the command ran, or just before; what it did is not known", at)
    }

    pub(super) fn never_ran(at: Timestamp) -> Self {
        Self { is_guess: false, ..Self::of_server(3, "the session ended before the command ran", at) }
    }

    pub(super) fn out_of_time(at: Timestamp) -> Self {
        let text = "the sensor did not say what became of it in time".to_owned();
        Self { kind: Kind::Win32, text, ..Self::of_server(crate::Code::TIMEOUT.0, "", at) }
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// As it was asked for.
    pub issued: Arc<Issued>,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
    pub(super) is_sent: bool,
    /// The sensor has it, and is to be asked not to begin.
    pub(super) is_unwanted: bool,
    started_at: Option<Timestamp>,
}

impl Command {
    pub(super) fn new(issued: Issued) -> Self {
        Self { issued: Arc::new(issued), ended: None, is_sent: false, is_unwanted: false, started_at: None }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match (&self.ended, self.started_at) {
            (Some(ended), _) => ended.state,
            (None, Some(_)) => State::Running,
            (None, None) => State::Pending,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether the server concluded its end by itself.
    pub(super) fn is_guessed(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.is_guess)
    }

    /// Whether what the sensor says of its end is news.
    pub(super) fn may_still_end(&self) -> bool {
        !self.is_over() || self.is_guessed()
    }

    pub(super) fn start(&mut self, now: Timestamp) {
        if !self.is_over() {
            self.started_at.get_or_insert(now);
        }
    }

    pub(super) fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    /// When the server gives it up, should the sensor say nothing more of it.
    pub(super) fn given_up_at(&self, overtime: Duration) -> Option<Timestamp> {
        let started_at = self.started_at.filter(|_| !self.is_over())?;
        let time = Duration::from_secs(u64::from(self.issued.timeout_s));
        Some(started_at.saturating_add(time.saturating_add(overtime)))
    }
}
