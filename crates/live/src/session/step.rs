//! What a session decided.

use std::collections::BTreeSet;

/// What to say to the sensor, after what changed is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Enter the session.
    Open,
    /// Carry out this command.
    Run(u32),
    /// Do not begin this command.
    Cancel(u32),
    /// Leave.
    Close,
    /// The end of this command is stored.
    Stored(u32),
}

/// What changed, and what to say once it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// To the sensor, in this order.
    pub say: Vec<Say>,
    /// The session itself changed.
    pub header: bool,
    /// These commands changed.
    pub commands: BTreeSet<u32>,
    /// What the sensor found is to be kept.
    pub result: bool,
}

impl Step {
    pub(super) fn say(what: Say) -> Self {
        Self { say: vec![what], ..Self::default() }
    }

    pub(super) fn also(mut self, other: Self) -> Self {
        self.say.extend(other.say);
        self.header |= other.header;
        self.commands.extend(other.commands);
        self.result |= other.result;
        self
    }

    /// Whether anything is to be stored.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.header || !self.commands.is_empty()
    }
}
