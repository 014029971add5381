//! The commit: where records are stored, and after which they are told.

use super::{Enqueued, Queues, Record, Rules, Streams, Wait};
use crate::telemetry::Telemetry;
use muster_model::{Oid, Sid};
use muster_store::{Store, StoreError, Stream, Write};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// Records that are stored: what tells of records takes this.
///
/// Only the commit makes one, so that nobody can tell of what may never be stored:
///
/// ```compile_fail,E0423
/// let records = [];
/// muster_server::intake::Streams::default().publish(&muster_server::intake::Committed(&records));
/// ```
pub struct Committed<'a>(&'a [&'a Record]);

impl Committed<'_> {
    /// The records, in the order in which they were stored.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.0.iter().copied()
    }
}

/// What is stored beside a change, in its commit: records about it, and writes that belong to it.
#[derive(Default)]
pub struct Beside {
    records: Vec<Record>,
    writes: Vec<Write>,
}

impl Beside {
    /// Only writes.
    #[must_use]
    pub const fn writes(writes: Vec<Write>) -> Self {
        Self { records: Vec::new(), writes }
    }

    /// Also these writes.
    #[must_use]
    pub fn and(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }

    /// Also what is stored beside another change.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.about(other.records).and(other.writes)
    }

    /// Also these records.
    #[must_use]
    pub fn about(mut self, records: impl IntoIterator<Item = Record>) -> Self {
        self.records.extend(records);
        self
    }
}

impl From<Record> for Beside {
    fn from(record: Record) -> Self {
        vec![record].into()
    }
}

impl From<Vec<Record>> for Beside {
    fn from(records: Vec<Record>) -> Self {
        Self { records, writes: Vec::new() }
    }
}

/// The one door for records.
pub struct Intake {
    store: Store,
    telemetry: Telemetry,
    streams: Streams,
    queues: Vec<Arc<dyn Queues>>,
    rules: Arc<dyn Rules>,
    grown: Mutex<HashSet<Oid>>,
}

impl Intake {
    /// A door to a store; it tells the others of what came in.
    #[must_use]
    pub fn new(
        store: Store,
        telemetry: Telemetry,
        streams: Streams,
        outputs: Arc<dyn Queues>,
        rules: Arc<dyn Rules>,
    ) -> Self {
        Self { store, telemetry, streams, queues: vec![outputs], rules, grown: Mutex::default() }
    }

    /// The same door; these queues get of the records, too.
    #[must_use]
    pub fn and(mut self, queues: Arc<dyn Queues>) -> Self {
        self.queues.push(queues);
        self
    }

    /// Stores records, and what is beside them, in one commit; then tells of the records. Those that rules
    /// listen to are evaluated first, and what comes of them is stored in the same commit.
    ///
    /// # Errors
    ///
    /// Whatever the store says; then nothing is stored, nothing was evaluated, and nobody was told.
    pub async fn commit(&self, beside: impl Into<Beside>) -> Result<(), StoreError> {
        let Beside { records, writes } = beside.into();
        let Some(oid) = records.iter().find(|record| is_evaluated(record)).map(|record| record.oid) else {
            return self.store(&records.iter().collect::<Vec<_>>(), Vec::new(), writes).await;
        };
        self.ingest(oid, records, Wait::Ignored, move |_| writes.clone()).await.map(|_| ())
    }

    /// As [`Intake::commit`], for the events of one sensor: those after an event at which a rule waits are left
    /// for later, and all of them if such a `wait` is still in force. Gives the number of events taken; `beside`
    /// tells for such a number what is to be stored with them.
    ///
    /// # Errors
    ///
    /// As [`Intake::commit`].
    pub async fn ingest(
        &self,
        oid: Oid,
        records: Vec<Record>,
        wait: Wait,
        beside: impl Fn(usize) -> Vec<Write> + Send + Sync + 'static,
    ) -> Result<usize, StoreError> {
        let Some(evaluator) = self.rules.about(oid, &records) else {
            let writes = beside(records.len());
            self.store(&records.iter().collect::<Vec<_>>(), Vec::new(), writes).await?;
            return Ok(records.len());
        };
        evaluator.take_in(records, wait, Box::new(beside)).await
    }

    /// Organizations of which records were stored since this was asked last.
    pub(crate) fn take_grown(&self) -> HashSet<Oid> {
        std::mem::take(&mut *self.grown.lock())
    }

    /// Has rules forget what they remember of a sensor that was deleted.
    pub async fn forget(&self, oid: Oid, sid: Sid) {
        self.rules.forget(&self.store, oid, sid).await;
    }

    /// Stores records as they are, what queues get of them and of what is `enqueued` already, and `writes`;
    /// then tells of the records.
    ///
    /// The writes come after the records: an output that is deleted leaves nothing in its queue, not even the
    /// record that says so.
    ///
    /// # Errors
    ///
    /// As [`Intake::commit`].
    pub(crate) async fn store(
        &self,
        records: &[&Record],
        mut enqueued: Vec<Box<dyn Enqueued>>,
        writes: Vec<Write>,
    ) -> Result<(), StoreError> {
        enqueued.extend(self.queues.iter().flat_map(|queues| queues.enqueue(records)));
        let mut all: Vec<Write> = enqueued.iter_mut().map(|enqueued| enqueued.write()).collect();
        if !records.is_empty() {
            all.push(Write::Append(records.iter().map(|record| record.entry()).collect()));
        }
        all.extend(writes);
        self.store.commit(all).await?;
        let of_one = records.chunk_by(|one, next| one.oid == next.oid).filter_map(|same| same.first());
        self.grown.lock().extend(of_one.map(|record| record.oid));
        let committed = Committed(records);
        for same in records.chunk_by(|one, next| one.stream == next.stream) {
            if let Some(first) = same.first() {
                self.telemetry.stored(first.stream, same.len() as u64);
            }
        }
        enqueued.into_iter().for_each(|enqueued| enqueued.wake(&committed));
        self.streams.publish(&committed);
        self.rules.offer_audit(&committed);
        Ok(())
    }
}

/// Whether rules see a record before it is stored. They see audit records after, and detections are theirs.
fn is_evaluated(record: &Record) -> bool {
    matches!(record.stream, Stream::Event | Stream::Deployment | Stream::Artifact)
}
