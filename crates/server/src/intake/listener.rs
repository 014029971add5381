//! Who hears of records, as the intake knows them: it is given them when the server is put together.

use super::{Committed, Record};
use muster_model::{Oid, Sid};
use muster_store::{Store, StoreError, Write};
use std::pin::Pin;
use std::sync::Arc;

/// What is to be stored with the first so many records of those that were brought together.
pub type WithTaken = Box<dyn Fn(usize) -> Vec<Write> + Send + Sync>;

/// How many records were taken, once they are stored.
pub type Taken<'a> = Pin<Box<dyn Future<Output = Result<usize, StoreError>> + Send + 'a>>;

/// What a `wait` of a rule does to records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: they are not events that a sensor keeps until they are taken.
    Ignored,
    /// It holds them back.
    Heeded,
    /// One that is in force has held them back long enough; the next one does again.
    Overdue,
}

/// Queues that records go to in the commit that stores them: those of outputs, and what services are told.
pub trait Queues: Send + Sync {
    /// What the queues get of these records.
    fn enqueue(&self, records: &[&Record]) -> Vec<Box<dyn Enqueued>>;
}

/// Records on their way into a queue. Dropping it without [`Enqueued::wake`] says that they were not stored.
pub trait Enqueued: Send {
    /// What puts them there; to be asked for once.
    fn write(&mut self) -> Write;

    /// They are there: has them delivered.
    fn wake(self: Box<Self>, committed: &Committed<'_>);
}

/// The rules of all organizations.
pub trait Rules: Send + Sync {
    /// The rules of an organization, if any of them listens to these records or holds them back.
    fn about(&self, oid: Oid, records: &[Record]) -> Option<Arc<dyn Evaluator>>;

    /// Forgets what rules remember of a sensor that was deleted, in this store too.
    fn forget<'a>(&'a self, store: &'a Store, oid: Oid, sid: Sid) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// Audit records that were stored: rules see them after that.
    fn offer_audit(&self, committed: &Committed<'_>);
}

/// The rules of one organization.
pub trait Evaluator: Send + Sync {
    /// Evaluates records of a stream, and has the intake store them with what comes of them and what `with` gives
    /// for the number of records taken; gives that number.
    ///
    /// # Errors
    ///
    /// Whatever the store says; then nothing is stored, and nothing was evaluated.
    fn take_in(&self, records: Vec<Record>, wait: Wait, with: WithTaken) -> Taken<'_>;
}
