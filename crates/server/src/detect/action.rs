//! An action that a rule ordered, as it is stored until it was carried out.

use crate::records::Kind;
use muster_model::{Oid, Sid, Timestamp};
use muster_rules::Effect;
use muster_store::Write;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Actions that wait, by position.
pub(super) const ACTION: Kind<Ordered> = Kind::new("action");

/// What a rule wants done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ordered {
    /// The same for every attempt, also after a restart: what it makes gets ids from it.
    pub(super) id: Uuid,
    /// The sensor of the event.
    pub(super) sid: Option<Sid>,
    /// Namespace of the rule.
    pub(super) namespace: String,
    /// Name of the rule.
    pub(super) rule: String,
    /// When the event was evaluated.
    pub(super) at: Timestamp,
    /// The sensor's next events wait until it was carried out: it is a `wait`, or follows one.
    #[serde(default)]
    pub(super) holds: bool,
    /// It was told to operators that it is carried out.
    #[serde(default)]
    pub(super) is_begun: bool,
    /// What.
    pub(super) effect: Effect,
}

/// An action with its place in the queue.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// Rises within the organization.
    pub(super) position: u64,
    /// Bytes of its stored form.
    pub(super) bytes: usize,
    /// It waited when the server started.
    pub(super) is_resumed: bool,
    pub(super) ordered: Ordered,
    body: String,
}

impl Action {
    /// An action that was just ordered.
    pub(super) fn new(position: u64, ordered: &Ordered) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_string(ordered)?;
        Ok(Self { position, bytes: body.len(), is_resumed: false, ordered: ordered.clone(), body })
    }

    /// An action that was stored, unless its key is none of ours.
    pub(super) fn resumed(key: &str, ordered: Ordered) -> Option<Self> {
        let position = key.parse().ok()?;
        Some(Self { is_resumed: true, ..Self::new(position, &ordered).ok()? })
    }

    pub(super) fn write(&self, oid: Oid) -> Write {
        ACTION.write(oid, &key(self.position), self.body.clone())
    }

    /// Notes that it was told of.
    pub(super) fn begun(&self, oid: Oid) -> Option<Write> {
        let begun = Ordered { is_begun: true, ..self.ordered.clone() };
        Some(ACTION.write(oid, &key(self.position), serde_json::to_string(&begun).ok()?))
    }

    pub(super) fn removal(&self, oid: Oid) -> Write {
        ACTION.removal(oid, &key(self.position))
    }
}

/// Of equal length, so that their order is that of the positions.
fn key(position: u64) -> String {
    format!("{position:020}")
}
