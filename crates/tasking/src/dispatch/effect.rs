//! What the machine is asked with, and what it answers with: its own words, without store, link or HTTP.

use super::edit::Edit;
use crate::sensor::SensorRow;
use crate::spec::{Conditions, Control, Spec};
use crate::target::Target;
use muster_model::{Sensor, Sid, TaskId, Timestamp};
use roaring::RoaringBitmap;
use std::sync::Arc;
use std::time::Duration;

/// Number that the driver gives to a question, to know its [`Answer`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Number that the driver gives to a link; tells it from all others of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Number of a commit, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// Something for the driver to do.
///
/// [`Effect::Send`] and [`Effect::Close`] are queued at their link before the machine is asked anything else:
/// the order of decisions is the order on the link. All else may take its time.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Store this, all or nothing, then tell [`super::Dispatch::stored`] or [`super::Dispatch::failed`].
    Commit(Commit),
    /// Say this on a link.
    Send(LinkId, Message),
    /// End a link once what is queued was written.
    Close(LinkId),
    /// What became of a question; once for each.
    Answer(RequestId, Answer),
    /// Keep records of this, and tell readers. Nothing rests on them: if they cannot be stored, they are missing.
    Tell(Vec<Fact>),
}

/// A list of changes, atomic.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Its number.
    pub id: CommitId,
    /// The question on whose behalf; tells who did what the facts tell of.
    pub request: Option<RequestId>,
    /// What to store.
    pub writes: Vec<Write>,
    /// Records of these are stored with it, and told once they are.
    pub facts: Vec<Fact>,
}

/// One change of what is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A sensor, new or changed.
    Sensor(Box<SensorRow>),
    /// A sensor has a spool of which nothing is stored yet.
    Spool {
        /// The sensor.
        ordinal: u32,
        /// Which spool.
        id: [u8; 16],
    },
    /// A task, new; refused if its number or id is taken.
    Task(Box<NewTask>),
    /// By how many microseconds the server's clock was set ahead while it ran, all in all.
    ClockSet(i64),
    /// What may change about a task.
    Control(u64, Box<Control>),
    /// Task, sensor, and where the one stands on the other.
    Targets(Vec<(u64, u32, Target)>),
}

/// A task as it is first stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Rises within the organization.
    pub number: u64,
    /// What was asked.
    pub spec: Spec,
    /// What is known of it from the beginning.
    pub control: Control,
    /// Everyone it is for.
    pub targets: RoaringBitmap,
}

/// What a sensor is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A task to carry out.
    Deliver(Box<Delivery>),
    /// What it is to enforce.
    Flags(Flags),
    /// It is to tell what became of these, at most [`super::RECALLED_MAX`], which it has confirmed.
    Recall(Vec<TaskId>),
    /// It is to end these, at most [`super::RECALLED_MAX`], which it has confirmed, and to tell how they ended.
    Cancel(Vec<TaskId>),
}

/// One task for one sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The published id.
    pub task_id: TaskId,
    /// Epoch of the sensor that it is made for.
    pub epoch: u64,
    /// The command line.
    pub command: String,
    /// Goes onto every event that it causes.
    pub investigation_id: String,
    /// The first instant at which it must not begin, as a steady one ([`crate::Queue::steady`]).
    pub ends_at: Timestamp,
    /// The same as a span from now.
    pub lifetime: Duration,
    /// Checked by the sensor.
    pub conditions: Option<Conditions>,
    /// It waits for no other task there.
    pub urgent: bool,
}

/// What the server asks of a sensor; `None` was never set by anyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Network isolation.
    pub isolate: Option<bool>,
    /// Tamper resistance.
    pub seal: Option<bool>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The task is accepted, now or by an earlier call with the same id.
    Created {
        /// Its id.
        task_id: TaskId,
        /// Targets.
        total: u64,
        /// Of those, online when it was accepted.
        tasked: u64,
    },
    /// The id of the task is taken by one that asks for something else.
    Taken,
    /// No such task.
    Unknown,
    /// Taken back or cancelled, by task.
    Untasked(Vec<Untasked>),
    /// The task holds back, or goes on.
    Done,
    /// So many sensors changed.
    Changed(u64),
    /// A new identity.
    Enrolled(Sid),
    /// The link is the sensor's current one.
    Welcome(Welcome),
    /// The sensor was deleted, or never was.
    Denied,
    /// Too many sensors are online.
    OverQuota,
    /// Steps are stored; the sensor may forget that they were not.
    Stored,
    /// The store refused. Nothing of it holds; of a change of many sensors, earlier parts may. It comes from the
    /// same call of [`super::Dispatch::failed`], so that the driver knows why.
    Failed,
}

/// What was taken back of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Untasked {
    /// Of which.
    pub task_id: TaskId,
    /// Those that never get it.
    pub deleted: RoaringBitmap,
    /// Those to which it was sent without a confirmation: they are not offered it again.
    pub withdrawn: RoaringBitmap,
    /// Those that have it and were asked to end it, or will be at their next connection.
    pub stopping: RoaringBitmap,
}

/// What a sensor is told when its link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Its epoch.
    pub epoch: u64,
    /// Flags to enforce.
    pub flags: Flags,
    /// It is tagged as a sleeper.
    pub sleeper: bool,
    /// Highest stored event of its spool.
    pub spool_seq: u64,
}

/// Something that operators are told of.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A task was accepted.
    Created(Box<Spec>),
    /// Targets were taken back.
    Untasked {
        /// Of this task; `None` is of all.
        task_id: Option<TaskId>,
        /// How many never get it.
        deleted: u64,
        /// How many may have it.
        withdrawn: u64,
    },
    /// A task is to end wherever it is.
    Cancelled {
        /// Which.
        task_id: TaskId,
        /// How many never get it.
        deleted: u64,
        /// How many may have it.
        withdrawn: u64,
        /// How many have it and are to end it.
        stopping: u64,
    },
    /// An operator holds a task back.
    Paused(TaskId),
    /// An operator lets a task go on.
    Resumed(TaskId),
    /// A task was handed to a link.
    Sent {
        /// Which.
        task_id: TaskId,
        /// To whom.
        sid: Sid,
        /// When.
        at: Timestamp,
    },
    /// A sensor told where a task stands.
    Stepped {
        /// Which.
        task_id: TaskId,
        /// On which sensor.
        sid: Sid,
        /// It was not confirmed before.
        was_pending: bool,
        /// What is known now.
        target: Box<Target>,
    },
    /// The record of a sensor was changed.
    Edited {
        /// How.
        edit: Arc<Edit>,
        /// Which.
        sid: Sid,
        /// Its name.
        hostname: Box<str>,
    },
    /// Something happened to a sensor itself.
    Sensor(Box<Sensor>, Happening),
}

/// What happens to sensors by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It has an identity.
    Enrolled,
    /// It has the identity again that an earlier state of this server had given it.
    Returned,
    /// Its identity is in use on two machines.
    Cloned {
        /// Name of the machine that has the link so far.
        previous: Box<str>,
        /// Name of the machine that takes it over.
        new: Box<str>,
        /// Where the two connect from.
        addresses: [Box<str>; 2],
    },
    /// Its link ended.
    Disconnected,
    /// It was deleted, and tried to connect.
    Denied,
    /// It was sent away because too many are online.
    OverQuota,
}
