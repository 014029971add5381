//! What the journal remembers, record by record.

use muster_wire::{AckedStep, Deliver, Receipt, Step};

/// One change of what the sensor knows of its tasks.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Record {
    /// A task arrived. Its steps follow in the same append.
    #[prost(message, tag = "1")]
    Accepted(Accepted),
    /// A task took a step.
    #[prost(message, tag = "2")]
    Step(Receipt),
    /// The server has stored a step.
    #[prost(message, tag = "3")]
    Acked(AckedStep),
    /// A task ended, and the server knows all about it: what a compaction leaves of it.
    #[prost(message, tag = "4")]
    Ended(Ended),
}

/// What is left of a task that ended long ago.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ended {
    /// The task.
    #[prost(bytes = "vec", tag = "1")]
    pub task_id: Vec<u8>,
    /// Its last step.
    #[prost(enumeration = "Step", tag = "2")]
    pub step: i32,
    /// `ERROR` of the answer.
    #[prost(sint32, tag = "3")]
    pub code: i32,
    /// When, by the endpoint's clock.
    #[prost(int64, tag = "4")]
    pub at_ms: i64,
}

/// A task as it arrived, with what is needed to tell later whether its time has passed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Accepted {
    /// The delivery; its command is emptied once the task has ended.
    #[prost(message, optional, tag = "1")]
    pub deliver: Option<Deliver>,
    /// The endpoint's wall clock at arrival.
    #[prost(int64, tag = "2")]
    pub wall_ms: i64,
    /// Milliseconds since boot, suspension included, at arrival.
    #[prost(uint64, tag = "3")]
    pub boot_ms: u64,
    /// The boot that `boot_ms` counts from.
    #[prost(string, tag = "4")]
    pub boot_id: String,
    /// How long after its arrival the task may begin.
    #[prost(uint64, tag = "5")]
    pub lifetime_ms: u64,
}

/// Records that became durable together.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// In the order in which they were made.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
}

/// One record of a [`Batch`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// Absent when it was written by a newer sensor; such entries are skipped.
    #[prost(oneof = "Record", tags = "1, 2, 3, 4")]
    pub record: Option<Record>,
}

impl Batch {
    /// Puts records together.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        Self { entries: records.iter().map(|record| Entry { record: Some(record.clone()) }).collect() }
    }

    /// Takes the records out again.
    pub fn into_records(self) -> impl Iterator<Item = Record> {
        self.entries.into_iter().filter_map(|entry| entry.record)
    }
}
