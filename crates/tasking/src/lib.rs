//! Who is owed which task, and what became of it: pure decisions.
//!
//! Time, randomness and fleet facts are arguments; nothing here does IO. The
//! server asks, makes the answer durable, and only then acts on it:
//!
//! | step | asks | makes durable | then |
//! |---|---|---|---|
//! | create | [`Task::new`] | the task | [`Queue::insert`], offers |
//! | offer | [`Queue::offer`], [`Queue::offer_each`] | the targets, now `sent` | hands them to the link |
//! | receipt | [`Queue::receipt`] | the target | [`Queue::apply`], acknowledges |
//! | pause, resume, untask | [`Queue::pause`], [`Queue::resume`], [`Queue::untask`] | the task's control | [`Queue::apply_change`], answers |
//!
//! # Invariants (numbers of the design, section 3)
//!
//! 4. An expired or removed target is never offered: [`Queue::offer`] looks only
//!    at targets that are still open, and expiry closes them first.
//! 5. Every target has one state, and states only move along the chain.

#![forbid(unsafe_code)]

mod clock;
pub mod dispatch;
mod explain;
mod fleet;
mod pace;
mod queue;
mod sensor;
mod spec;
mod target;
mod task;

pub use dispatch::Dispatch;
pub use explain::Explanation;
pub use fleet::{Fleet, SensorOrder, UnknownOrder};
pub use muster_model::TargetState;
pub use pace::{FailureLimit, Pace};
pub use queue::{ASK_AGAIN, ControlChange, Fault, Offer, Queue, RETRY_FIRST, RETRY_LONGEST, Report};
pub use sensor::SensorRow;
pub use spec::{CONTEXT_BYTES_MAX, Conditions, Control, DEFAULT_TTL_S, Spec, SpecError, TTL_S_MAX, Weekdays, Window};
pub use target::Target;
pub use task::{Counts, Task};
