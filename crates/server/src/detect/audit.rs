//! Rules on audit records.
//!
//! Audit records are made wherever something is changed, in the commit of the change. Rules see them right
//! after, from one queue, so that a change does not wait for rules. What rules do themselves is not shown to
//! rules on audit records: they would answer themselves for ever. A record that is in the queue when the
//! server is killed is kept, and not evaluated.
//!
//! Source: reference/detection-response.md section 2.6.

use super::{Detect, Detectors, evaluate};
use crate::errors;
use crate::intake::{Committed, Record};
use muster_model::Oid;
use muster_rules::Target;
use muster_store::Stream;
use parking_lot::Mutex;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Audit records that may wait for rules, of all organizations. Above, they are not evaluated and operators are told.
const WAITING_MAX: usize = 8_192;

/// Records that are evaluated before one commit.
const BATCH_MAX: usize = 256;

/// What the identity of a rule begins with.
const RULE_IDENTITY: &str = "rule/";

/// Audit records on their way to rules.
pub(super) struct Feed {
    sender: Sender<Record>,
    receiver: Mutex<Option<Receiver<Record>>>,
    /// Organizations whose records found the queue full.
    missed: Mutex<BTreeMap<Oid, u64>>,
}

impl Default for Feed {
    fn default() -> Self {
        let (sender, receiver) = channel(WAITING_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)), missed: Mutex::default() }
    }
}

impl Detectors {
    /// Queues the audit records among these for the rules that listen to them.
    pub(super) fn offer_audit(&self, committed: &Committed<'_>) {
        for record in committed.records().filter(|record| record.stream == Stream::Audit) {
            if self.listening(record.oid, Target::Audit).is_none() || is_by_rule(record) {
                continue;
            }
            if let Err(TrySendError::Full(record)) = self.audit.sender.try_send(record.clone()) {
                *self.audit.missed.lock().entry(record.oid).or_default() += 1;
            }
        }
    }
}

fn is_by_rule(record: &Record) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        ident: Cow<'a, str>,
    }
    serde_json::from_slice::<Head<'_>>(&record.body).is_ok_and(|head| head.ident.starts_with(RULE_IDENTITY))
}

/// Evaluates what comes in, until dropped.
pub async fn run(detect: Arc<Detect>) {
    let Some(mut receiver) = detect.detectors.audit.receiver.lock().take() else { return };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while receiver.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let mut by_organization: BTreeMap<Oid, Vec<Record>> = BTreeMap::new();
        for record in batch.drain(..) {
            by_organization.entry(record.oid).or_default().push(record);
        }
        for (oid, records) in by_organization {
            if let Err(error) = evaluate(&detect, oid, Target::Audit, records, Vec::new()).await {
                tracing::warn!(%oid, %error, "what rules made of audit records could not be stored");
            }
        }
        let missed = std::mem::take(&mut *detect.detectors.audit.missed.lock());
        for (oid, count) in missed {
            let text = format!("{WAITING_MAX} audit records wait for rules; {count} were not evaluated");
            errors::report(&detect.records, oid, "rules", &text).await;
        }
    }
}
