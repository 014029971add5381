//! How an output stands: what waits for it, what came of its deliveries, and whether one record reaches its destination.

use super::worker::Sink;
use super::{Delivery, Output};
use crate::clock;
use crate::intake::Record;
use crate::intake::event::Actor;
use muster_api_types::OutputStanding;
use muster_model::{Oid, Timestamp};
use muster_store::{Queued, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What came of the deliveries of an output that is at work.
#[derive(Default)]
pub(super) struct Outcome {
    delivered: Option<Timestamp>,
    /// The failure after which nothing was delivered yet, and when that is tried again.
    failure: Option<(String, Timestamp)>,
}

impl Output {
    pub(super) fn succeeded(&self) {
        *self.outcome.lock() = Outcome { delivered: Some(clock::now()), failure: None };
    }

    pub(super) fn failed(&self, error: &str, pause: Duration) {
        self.outcome.lock().failure = Some((error.to_owned(), clock::now().saturating_add(pause)));
    }

    fn standing(&self, (waiting, waiting_bytes): (u64, u64)) -> OutputStanding {
        let outcome = self.outcome.lock();
        let (error, next_try) = outcome.failure.clone().unzip();
        OutputStanding {
            delivered: outcome.delivered.map(Timestamp::as_secs),
            error,
            next_try: next_try.map(Timestamp::as_secs),
            waiting,
            waiting_bytes,
        }
    }
}

impl Delivery {
    /// How the outputs of an organization stand, those whose settings somebody sees.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn standings(&self, oid: Oid, by: &Actor) -> Result<BTreeMap<String, OutputStanding>, StoreError> {
        let names = self.list(oid).into_keys();
        let outputs: Vec<_> = names.filter_map(|name| self.seen(oid, &name, by)).collect();
        let names: Vec<String> = outputs.iter().map(|output| output.name.clone()).collect();
        let sizes = self.store.read(move |read| names.iter().map(|name| read.queue_size(oid, name)).collect());
        let sizes: Vec<(u64, u64)> = sizes.await?;
        Ok(outputs.iter().zip(sizes).map(|(output, size)| (output.name.clone(), output.standing(size))).collect())
    }

    /// Delivers one record by an output at once, past its queue and its filters. One that failed before begins with
    /// what waits for it.
    ///
    /// # Errors
    ///
    /// What kept the record from its destination.
    pub async fn try_out(&self, output: &Arc<Output>, record: &Record) -> Result<(), String> {
        let queued = vec![Queued { position: 0, body: record.body.to_vec() }];
        Sink::open(self, output)?.deliver(output, queued).await.1?;
        if let Some(left_out) = output.format.take_failure() {
            return Err(left_out);
        }
        let had_failed = output.outcome.lock().failure.is_some();
        match had_failed {
            true => self.restart(output.oid, &[&output.name]),
            false => output.succeeded(),
        }
        Ok(())
    }
}
