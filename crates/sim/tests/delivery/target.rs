//! Programs of others, as the server sees them from outside.

use crate::world::Kernel;
use muster_sim::kernel::{MS, Micros, SECOND};

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It does what it is told.
    Well,
    /// The same, after a while.
    Slow,
    /// Nobody listens.
    Away,
    /// It takes what it is told, and never answers.
    Hanging,
    /// It answers with whatever there is.
    Broken,
    /// It has another secret.
    Secret,
    /// It is called too often.
    Busy,
}

/// What a target does with a call.
pub struct Reaction {
    /// It did what it was told.
    pub is_done: bool,
    /// Status and body, or nothing before the caller has had enough.
    pub answer: Option<(u16, &'static str)>,
    /// How long until then.
    pub after: Micros,
}

const DONE: &str = r#"{"success": true, "data": {}}"#;
const AGAIN: &str = r#"{"success": false, "retry": true, "data": {}}"#;
const FAILED: &str = r#"{"success": false, "retry": false, "data": {}, "error": "no"}"#;
/// For how many seconds one that is busy asks to be left alone.
const BUSY_S: [&str; 3] = ["", "2", "40"];

const LACKING: &str = r#"{"success": false, "data": {"error": "not implemented"}, "retry": false}"#;

impl Mood {
    pub fn any(kernel: &Kernel) -> Self {
        match kernel.below(13) {
            0..4 => Self::Well,
            4 | 5 => Self::Slow,
            6 | 7 => Self::Away,
            8 => Self::Hanging,
            9 | 10 => Self::Broken,
            11 => Self::Busy,
            _ => Self::Secret,
        }
    }

    /// Whether it accepts a health check.
    pub fn is_well(self) -> bool {
        !matches!(self, Self::Away | Self::Hanging | Self::Secret | Self::Busy)
    }

    /// What it does with a call; `within` is what the caller waits.
    pub fn react(self, kernel: &Kernel, within: Micros) -> Reaction {
        let soon = kernel.between(MS, 50 * MS);
        let answered = |is_done: bool, status: u16, body: &'static str| Reaction {
            is_done,
            answer: Some((status, body)),
            after: soon,
        };
        match self {
            Self::Well => answered(true, 200, DONE),
            Self::Slow => Reaction { after: kernel.between(SECOND, 120 * SECOND), ..answered(true, 200, DONE) },
            Self::Away => Reaction { is_done: false, answer: None, after: soon },
            Self::Hanging => Reaction { is_done: kernel.chance(50), answer: None, after: within },
            Self::Secret => answered(false, 401, ""),
            Self::Busy => answered(false, 429, BUSY_S[kernel.index(BUSY_S.len())]),
            Self::Broken => match kernel.below(8) {
                0 | 1 => answered(false, 500, ""),
                2 | 3 => answered(false, 200, AGAIN),
                4 => answered(false, 200, FAILED),
                5 => answered(true, 200, LACKING),
                // It did it, and its answer is lost on the way.
                6 => answered(true, 502, "<html>"),
                _ => answered(true, 200, DONE),
            },
        }
    }
}
