//! Telling operators what went wrong with a rule: as an error of the organization, and on
//! the rule's record. Neither is told again for the same error within a minute.
//!
//! Source: reference/detection-response.md section 12, reference/rest-api.md sections 7.1 and 8.

use super::Detect;
use crate::{errors, hive};
use muster_model::Oid;
use std::sync::Weak;
use tokio::sync::mpsc;

/// Troubles that wait to be told; beyond, they are dropped: a broken rule has one on every event.
pub(super) const TROUBLES_MAX: usize = 1_024;

/// What went wrong.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    oid: Oid,
    hive: String,
    record: String,
    text: String,
}

impl Trouble {
    /// Of a rule at work.
    pub(super) fn of_rule(oid: Oid, namespace: &str, name: &str, text: &str) -> Self {
        Self::of_record(oid, &format!("dr-{namespace}"), name, text)
    }

    /// Of a stored record.
    pub(super) fn of_record(oid: Oid, hive: &str, record: &str, text: &str) -> Self {
        Self { oid, hive: hive.to_owned(), record: record.to_owned(), text: text.to_owned() }
    }

    /// Has it told soon; does not wait.
    pub(super) fn tell(self, detect: &Detect) {
        if let Err(error) = detect.detectors.troubles.try_send(self) {
            tracing::debug!(%error, "too many troubles wait to be told");
        }
    }
}

/// Tells of troubles, until the server is gone.
pub(super) async fn run(detect: Weak<Detect>, mut troubles: mpsc::Receiver<Trouble>) {
    while let Some(Trouble { oid, hive, record, text }) = troubles.recv().await {
        let Some(detect) = detect.upgrade() else { return };
        let is_news = errors::report(&detect.records, oid, &format!("{hive}/{record}"), &text).await;
        if is_news && let Some(hive) = hive::find(&hive) {
            hive::note_error(&detect.hives, hive, oid, &record, &text).await;
        }
    }
}
