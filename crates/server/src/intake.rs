//! The way of every record: made, evaluated, stored, told.
//!
//! Whatever happens becomes records: events of sensors, audit records of changes, what comes and goes.
//! [`Intake`] is the one door for them. What a record causes — a place in the queue of an output, what
//! rules find — is stored in the commit that stores the record and the change that it is about. Live
//! readers, outputs and rules on audit records hear of it after that commit, and only of what it stored:
//! they take a [`Committed`], which nothing but the commit can make. ADR 11 says why.

mod commit;
pub mod event;
mod listener;
mod record;
mod stream;

pub use commit::{Beside, Committed, Intake};
pub use listener::{Enqueued, Evaluator, Queues, Rules, Taken, Wait, WithTaken};
pub use record::Record;
pub use stream::{Filter, Streams, Subscription};
