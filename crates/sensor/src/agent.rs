//! What a sensor does about each message, answer and instant: decisions only.
//!
//! The agent is told things ([`Agent::hear`], [`Agent::answered`],
//! [`Agent::tick`], …) and collects what must follow. [`Agent::settle`] then makes
//! it durable and returns the [`Effect`]s to carry out. Several things may be
//! told before one `settle`; they share its writes to disk.
//!
//! # Invariants
//!
//! 1. An effect is returned only after every record it rests on is durable: a
//!    receipt after its step, a run after `Started`.
//! 2. Answers of a task are durable in the spool before its `Finished` is in the
//!    journal; its `CLOUD_NOTIFICATION` enters the spool only after the task is in
//!    the journal, since the server may take either for a confirmation.
//! 3. A task id runs at most once, whatever is told and wherever it crashes.
//!
//! # What is not here
//!
//! No clock, no randomness, no file, no socket: [`Now`], [`Journal`] and
//! [`Spool`] come as arguments. If `settle` fails, memory is ahead of the disk:
//! throw the agent away and make one from what the disk says.

mod cancel;
mod clock;
mod elsewhere;
mod events;
mod lanes;
mod ledger;
mod recall;
mod record;
#[cfg(test)]
mod tests;
mod up;
mod window;

use std::time::Duration;

use muster_model::{Oid, Sid, TaskId};
use muster_wire::{
    Deliver, Event, EventsAck, Flags, LiveOrder, Receipt, Receipts, ReceiptsAck, Refusal, Step, TransferGrant, Welcome,
    from_sensor, from_server,
};

pub use clock::{Now, is_within};
pub use events::{event, notification};
pub use lanes::{LONG_MAX, Lane, ORDER_WAIT_MS, RUNNING_MAX, SHORT_MAX, URGENT_MAX};
pub use ledger::{ENDS_MAX, End, Ledger, OWED_MAX, SETTLED_MAX, task_id};
pub use record::{Accepted, Batch, Ended, Entry, Record};

use lanes::Lanes;
use up::Up;

/// Longest readable reason in a receipt.
const ERROR_CHARS_MAX: usize = 500;
/// Receipts per message: far below the message limit with the longest reasons.
const RECEIPTS_PER_MESSAGE: usize = 128;

/// Where tasks and their steps are remembered.
pub trait Journal {
    /// Makes the records durable, all or none. One call costs one flush.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when they are not known to be durable.
    fn append(&mut self, records: &[Record]) -> Result<(), StorageError>;

    /// Whether so much was appended that [`Journal::replace`] is worth its cost.
    fn is_grown(&self) -> bool;

    /// Puts these records in place of all there are, durably, all or none.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the old records are then still in force.
    fn replace(&mut self, records: &[Record]) -> Result<(), StorageError>;
}

/// Where events wait until the server has stored them.
pub trait Spool {
    /// Takes an event in, gives it the next sequence number, and returns that.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when it could not be written.
    fn push(&mut self, event: Event) -> Result<u64, StorageError>;

    /// Makes everything pushed so far durable.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when it is not known to be durable.
    fn sync(&mut self) -> Result<(), StorageError>;

    /// The next events after `seq`, in order, within both bounds; one event at
    /// least, if there is one.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when they cannot be read.
    fn read_after(&mut self, seq: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, StorageError>;

    /// Number beyond which this spool has given none.
    fn newest(&self) -> u64;

    /// Forgets everything up to `seq`.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when it could not be forgotten; it will be sent again.
    fn acknowledge(&mut self, seq: u64) -> Result<(), StorageError>;
}

/// The disk did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(pub String);

/// What is known of a command line before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Request name for the notification, such as `OS_VERSION_REQ`.
    pub request: String,
    /// Event type of the answer, such as `OS_VERSION_REP`.
    pub reply: String,
    /// `ERROR` and reason, if it cannot be run.
    pub refusal: Option<(i32, String)>,
    /// No event at all, not even the notification (`restart`).
    pub is_silent: bool,
    /// Among which others it runs.
    pub lane: Lane,
}

/// Who the agent is, and what it can do.
#[derive(Clone)]
pub struct Setup {
    /// Organization.
    pub oid: Oid,
    /// `None` before enrolment.
    pub sid: Option<Sid>,
    /// Id of this boot.
    pub boot_id: String,
    /// Tasks at most of which something is owed: [`OWED_MAX`], fewer in a simulation.
    pub owed_max: usize,
    /// Looks at a command line without running it.
    pub look: fn(&str) -> Look,
}

/// One task to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// Its command line.
    pub command: String,
    /// Goes onto every event that the task causes.
    pub investigation_id: String,
    /// SHA-256 that the payload must have; empty is any.
    pub payload_sha256: Vec<u8>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ran to its end, with this `ERROR` and reason.
    Finished(i32, String),
    /// Was not run, for this reason.
    Refused(i32, String),
    /// Cannot be run here.
    Unsupported(String),
    /// Was stopped while it ran, because the server asked for it.
    Cancelled(String),
}

/// What happens to the sensor itself once the end of a task is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Begin anew with what is on disk.
    Restart,
    /// Remove the sensor from the endpoint.
    Uninstall,
    /// Switch the endpoint off.
    Shutdown,
    /// Boot the endpoint anew.
    Reboot,
}

/// The end of a task, as the executor tells it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub verdict: Verdict,
    /// What it has to say, in order.
    pub events: Vec<Event>,
    /// What follows for the sensor itself.
    pub afterwards: Option<Afterwards>,
}

/// Something for the outside world to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Prove who this is over the nonce, and report the state.
    Hello(Vec<u8>),
    /// Say this on the link.
    Send(from_sensor::Message),
    /// The link is up: report state, emit `CONNECTED`.
    Connected,
    /// Report state: the sensor takes no more tasks, or takes tasks again.
    Report,
    /// Carry out a task; tell the end with [`Agent::answered`].
    Run(Run),
    /// Have this task, which runs, end; its end is told as any other.
    Stop(TaskId),
    /// Bring isolation and seal to these flags.
    Enforce(Flags),
    /// Stop or resume collection.
    Sleep(bool),
    /// A transfer was granted or refused.
    Granted(TransferGrant),
    /// The server said something about a live session.
    Live(LiveOrder),
    /// Remember this identity and connect again.
    Enrolled(Sid),
    /// The server has events that this spool never held, so it is an earlier state of itself: go on under another id,
    /// since numbers under this one were given before, and connect again.
    Renew,
    /// Close the link and wait at least so long before the next.
    Close(Duration, String),
    /// Close the link, and connect again after a part of this span that chance says.
    Away(Duration),
    /// The server does not know this sensor: ask for the same identity again, at once; if that was done, as
    /// [`Effect::Close`].
    Unknown(Duration, String),
    /// Do this to the sensor itself.
    Afterwards(Afterwards),
}

/// The deciding part of a sensor.
pub struct Agent {
    setup: Setup,
    ledger: Ledger,
    is_full: bool,
    lanes: Lanes,
    link: Option<Up>,
    /// Where servers find this sensor, as the last of them said it.
    cell_hint: Vec<u8>,
    out: Outbox,
}

/// What was decided and is not durable yet.
#[derive(Default)]
struct Outbox {
    answers: Vec<Event>,
    records: Vec<Record>,
    receipts: Vec<Receipt>,
    events: Vec<Event>,
    acknowledged: Option<u64>,
    effects: Vec<Effect>,
}

impl Agent {
    /// Begins where the ledger ended: what had started is interrupted, what had
    /// only been confirmed waits to run.
    #[must_use]
    pub fn new(setup: Setup, ledger: Ledger, now: Now) -> Self {
        let is_full = ledger.owed() >= setup.owed_max;
        let (lanes, out) = (Lanes::default(), Outbox::default());
        let mut agent = Self { setup, ledger, is_full, lanes, link: None, cell_hint: Vec::new(), out };
        let open: Vec<_> =
            agent.ledger.open().map(|(id, task)| (id, task.has(Step::Started), task.deliver().cloned())).collect();
        for (id, had_started, deliver) in open {
            match deliver {
                Some(deliver) if had_started => agent.interrupt(id, &deliver, now),
                Some(deliver) => agent.wait(id, &deliver),
                None => {}
            }
        }
        agent.start_due(now);
        agent
    }

    /// Takes a message of the server.
    pub fn hear(&mut self, message: from_server::Message, now: Now) {
        use from_server::Message;
        match message {
            Message::Challenge(challenge) => self.out.effects.push(Effect::Hello(challenge.nonce)),
            Message::Enrolled(enrolled) => match uuid::Uuid::from_slice(&enrolled.sid) {
                Ok(sid) => self.out.effects.push(Effect::Enrolled(Sid(sid))),
                Err(_) => self.close(Duration::from_mins(1), "the server gave a damaged identity"),
            },
            Message::Refused(refused) => {
                let wait = Duration::from_secs(u64::from(refused.retry_after_s.max(1)));
                let reason = format!("the server refused this sensor: {}", refused.text);
                match refused.reason() {
                    Refusal::Identity => self.out.effects.push(Effect::Unknown(wait, reason)),
                    _ => self.close(wait, &reason),
                }
            }
            Message::Welcome(welcome) => self.welcome(&welcome, now),
            Message::Deliver(deliver) => self.deliver(deliver, now),
            Message::ReceiptsAck(ack) => self.receipts_stored(&ack),
            Message::EventsAck(ack) => self.events_stored(ack, now),
            Message::Flags(flags) => self.out.effects.push(Effect::Enforce(flags)),
            Message::Grant(grant) => self.out.effects.push(Effect::Granted(grant)),
            Message::Recall(recall) => self.recall(recall.task_ids, now),
            Message::Live(order) => self.out.effects.push(Effect::Live(order)),
            Message::Cancel(cancel) => self.cancel(cancel.task_ids, now),
            Message::Goaway(away) => self.away(away),
        }
    }

    /// The link is gone.
    pub fn disconnected(&mut self) {
        self.link = None;
    }

    /// Whether the server has welcomed this sensor on a link that still lives.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// The sensor's identity was given or taken away.
    pub fn rename(&mut self, sid: Option<Sid>) {
        self.setup.sid = sid;
    }

    /// Whether it takes no more tasks. It takes some again once there is room for many, so that this is not told
    /// at every task.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Time passed; call it at [`Agent::deadline`] at the latest.
    pub fn tick(&mut self, now: Now) {
        self.start_due(now);
    }

    /// Sends everything unacknowledged once more. For links on which the server
    /// was too busy to store what it got.
    pub fn resend(&mut self) {
        let Some(up) = self.link.as_mut() else { return };
        up.window.rewind();
        self.out.receipts = self.ledger.unacknowledged();
    }

    /// Something happened on the endpoint.
    pub fn observed(&mut self, event: Event) {
        self.out.events.push(event);
    }

    /// A task ended. Ends of tasks that do not run (after a restart of the
    /// executor, say) change nothing.
    pub fn answered(&mut self, answer: Answer, now: Now) {
        if !self.lanes.end(answer.task) {
            return;
        }
        self.out.answers.extend(answer.events);
        let (step, code, error) = match answer.verdict {
            Verdict::Finished(code, error) => (Step::Finished, code, error),
            Verdict::Refused(code, error) => (Step::Refused, code, error),
            Verdict::Unsupported(error) => (Step::Unsupported, events::NOT_SUPPORTED, error),
            Verdict::Cancelled(error) => (Step::Cancelled, events::CANCELLED, error),
        };
        self.step(answer.task, step, code, &error, now);
        self.out.effects.extend(answer.afterwards.map(Effect::Afterwards));
        self.start_due(now);
    }

    /// Tasks that have begun and not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lanes.running()
    }

    /// What is remembered of tasks.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Makes durable what was decided, in the order that the invariants ask for,
    /// and returns what is to be done.
    ///
    /// # Errors
    ///
    /// [`StorageError`]: nothing may be done; make a new agent from the disk.
    pub fn settle(&mut self, journal: &mut impl Journal, spool: &mut impl Spool) -> Result<Vec<Effect>, StorageError> {
        let out = std::mem::take(&mut self.out);
        let was_full = self.is_full;
        let least =
            if was_full { self.setup.owed_max - room_min(self.setup.owed_max) + 1 } else { self.setup.owed_max };
        self.is_full = self.ledger.owed() >= least;
        if !out.answers.is_empty() {
            for event in out.answers {
                spool.push(event)?;
            }
            spool.sync()?;
        }
        if !out.records.is_empty() {
            journal.append(&out.records)?;
            if journal.is_grown() {
                let records = self.ledger.compact();
                journal.replace(&records)?;
            }
        }
        for event in out.events {
            spool.push(event)?;
        }
        let is_earlier = out.acknowledged.is_some_and(|seq| seq > spool.newest());
        if is_earlier {
            self.link = None;
        } else if let Some(seq) = out.acknowledged {
            spool.acknowledge(seq)?;
        }
        let mut effects = Vec::new();
        if let Some(up) = self.link.as_mut() {
            for receipts in out.receipts.chunks(RECEIPTS_PER_MESSAGE) {
                effects.push(Effect::Send(from_sensor::Message::Receipts(Receipts { receipts: receipts.to_vec() })));
            }
            up.window.fill(spool, &mut effects)?;
            effects.extend((self.is_full != was_full).then_some(Effect::Report));
        }
        effects.extend(out.effects);
        effects.extend(is_earlier.then_some(Effect::Renew));
        Ok(effects)
    }

    fn close(&mut self, wait: Duration, reason: &str) {
        self.out.effects.push(Effect::Close(wait, reason.to_owned()));
    }

    fn welcome(&mut self, welcome: &Welcome, now: Now) {
        self.link = Some(Up::new(welcome, now));
        self.keep_hint(&welcome.cell_hint);
        self.out.acknowledged = Some(welcome.spool_seq);
        self.out.receipts = self.ledger.unacknowledged();
        self.out.effects.push(Effect::Connected);
        self.out.effects.extend(welcome.flags.map(Effect::Enforce));
        self.out.effects.push(Effect::Sleep(welcome.sleeper));
        // What was confirmed before a reboot can be judged from now on.
        self.start_due(now);
    }

    fn events_stored(&mut self, ack: EventsAck, now: Now) {
        let Some(up) = self.link.as_mut() else { return };
        if ack.server_now_ms != 0 {
            up.measure(ack.server_now_ms, now);
        }
        if let Some(seq) = up.window.acknowledge(ack.seq) {
            self.out.acknowledged = Some(seq);
        }
    }

    fn receipts_stored(&mut self, ack: &ReceiptsAck) {
        for step in &ack.steps {
            if self.ledger.awaits(step) {
                self.record(Record::Acked(step.clone()));
            }
        }
    }

    fn record(&mut self, record: Record) {
        self.ledger.apply(&record);
        self.out.records.push(record);
    }

    fn deliver(&mut self, deliver: Deliver, now: Now) {
        let (Some(up), Some(id)) = (self.link.as_mut(), task_id(&deliver.task_id)) else { return };
        let (epoch, lifetime_ms) = (up.epoch, up.lifetime_ms(&deliver, now));
        if let Some(receipts) = self.remembered(id, deliver.epoch) {
            return self.answer_again(id, receipts, &deliver, now);
        }
        let Some(lifetime_ms) = lifetime_ms else { return self.doubt(id, deliver, now) };
        let is_full = self.ledger.owed() >= self.setup.owed_max;
        if is_full && deliver.wants_receipts {
            return self.decline(deliver.task_id, deliver.epoch, now);
        }
        self.accept(deliver.clone(), lifetime_ms, now);
        self.step(id, Step::Confirmed, 0, "", now);
        self.notify(id, &deliver, now);
        if is_full {
            let reason = full(self.setup.owed_max);
            tracing::warn!(task = ?id, "a task is refused: {reason}");
            self.tell_of_refusal(id, &deliver, events::BUSY, &reason, now);
            self.step(id, Step::Refused, events::BUSY, &reason, now);
        } else if deliver.epoch != epoch {
            let reason = format!("made for enrolment {} of this sensor, which is at {epoch}", deliver.epoch);
            self.step(id, Step::Refused, events::INVALID_PARAMETER, &reason, now);
        } else if lifetime_ms == 0 {
            self.step(id, Step::Expired, events::TIMEOUT, "its time had passed when it arrived", now);
        } else {
            self.wait(id, &deliver);
            self.start_due(now);
        }
    }

    /// An offer seems to have come late. The next link measures the clocks anew; on it comes again what the
    /// server keeps, with a time that is right. A direct task does not, and says so.
    fn doubt(&mut self, id: TaskId, deliver: Deliver, now: Now) {
        let reason = "it came late, or the server's clock was set back: give it again";
        if !deliver.wants_receipts {
            self.accept(deliver.clone(), 0, now);
            self.step(id, Step::Confirmed, 0, "", now);
            self.notify(id, &deliver, now);
            self.tell_of_refusal(id, &deliver, events::TIMEOUT, reason, now);
            self.step(id, Step::Expired, events::TIMEOUT, reason, now);
        }
        self.link = None;
        self.close(Duration::ZERO, "an offer came late, or the server's clock was set back");
    }

    fn accept(&mut self, deliver: Deliver, lifetime_ms: u64, now: Now) {
        self.record(Record::Accepted(Accepted {
            deliver: Some(deliver),
            wall_ms: now.wall_ms,
            boot_ms: now.boot_ms,
            boot_id: self.setup.boot_id.clone(),
            lifetime_ms,
        }));
    }

    /// Says that there is no room for a task. It stays with the server, which offers it again; so this is
    /// not journalled.
    fn decline(&mut self, task_id: Vec<u8>, epoch: u64, now: Now) {
        let error = full(self.setup.owed_max);
        tracing::warn!("a task is not taken: {error}");
        let step = Step::Full as i32;
        self.out.receipts.push(Receipt { task_id, step, at_ms: now.wall_ms, code: events::BUSY, error, epoch });
    }

    fn answer_again(&mut self, id: TaskId, receipts: Vec<Receipt>, deliver: &Deliver, now: Now) {
        if deliver.wants_receipts {
            self.out.receipts.extend(receipts);
        } else {
            self.notify(id, deliver, now);
        }
    }

    fn notify(&mut self, id: TaskId, deliver: &Deliver, now: Now) {
        let look = (self.setup.look)(&deliver.command);
        if !look.is_silent {
            let sid = self.setup.sid.unwrap_or(Sid(uuid::Uuid::nil()));
            self.out.events.push(notification(&look.request, self.setup.oid, sid, id, deliver, now));
        }
    }

    fn step(&mut self, id: TaskId, step: Step, code: i32, error: &str, now: Now) {
        let Some(task) = self.ledger.get(id) else { return };
        let Some(deliver) = task.deliver() else { return };
        let (epoch, wants_receipts) = (deliver.epoch, deliver.wants_receipts);
        let receipt = Receipt {
            task_id: id.0.as_bytes().to_vec(),
            step: step as i32,
            at_ms: now.wall_ms,
            code,
            error: error.chars().take(ERROR_CHARS_MAX).collect(),
            epoch,
        };
        if wants_receipts {
            self.out.receipts.push(receipt.clone());
        }
        self.record(Record::Step(receipt));
    }

    fn interrupt(&mut self, id: TaskId, deliver: &Deliver, now: Now) {
        let look = (self.setup.look)(&deliver.command);
        let reason = "the sensor stopped while this ran; it was not run again";
        if !look.is_silent {
            let body = serde_json::json!({"ERROR": events::BROKEN_PIPE, "ERROR_MESSAGE": reason});
            self.out.answers.push(event(&look.reply, body, Some((id, &deliver.investigation_id)), now));
        }
        self.step(id, Step::Interrupted, events::BROKEN_PIPE, reason, now);
    }

    /// The answer of a task that is not run. After the notification, which must not be in the spool before
    /// the journal knows the task.
    fn tell_of_refusal(&mut self, id: TaskId, deliver: &Deliver, code: i32, reason: &str, now: Now) {
        let look = (self.setup.look)(&deliver.command);
        if !look.is_silent {
            let body = serde_json::json!({"ERROR": code, "ERROR_MESSAGE": reason});
            self.out.events.push(event(&look.reply, body, Some((id, &deliver.investigation_id)), now));
        }
    }
}

/// Tasks for which there is room when a sensor that was full says that it is not.
fn room_min(owed_max: usize) -> usize {
    (owed_max / 8).max(1)
}

/// Why a task is not taken.
fn full(owed_max: usize) -> String {
    format!(
        "the sensor has {owed_max} tasks that have not ended, or whose end the server has not acknowledged, and takes no more until some have"
    )
}
