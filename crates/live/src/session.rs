//! The server's end of a session. Source: reference/live-response.md sections 3.3 and 4.

mod command;
mod step;
mod timers;

pub use command::{Command, Ended, Issued, Kind, State};
pub use step::{Say, Step};
pub use timers::{Timers, TimersError};

use crate::{Code, Name, SessionId};
use muster_model::Timestamp;
use muster_wire::{LiveEnded, LiveJoined};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Commands of one session. Source: reference/live-response.md section 3.3.
pub const COMMANDS_MAX: usize = 250;

/// What a command found is kept beside its session if it is no longer than this.
const FRESH_BYTES_MAX: usize = 64 * 1024;

/// How long a closed session is kept open for what was accepted before. Source: reference/live-response.md section 3.4.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How much longer than its time a command may take before the server gives it up, too: the sensor says by itself
/// that its time was over.
const OVERTIME_MAX: Duration = Duration::from_secs(60);

/// What becomes of a session, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The sensor is waited for.
    Pending,
    /// The sensor is there.
    Active,
    /// The sensor was there; it may come back.
    Inactive,
    /// It was waited for in vain, or nobody ordered anything.
    Timeout,
    /// Someone closed it.
    Close,
}

impl Status {
    /// As clients read it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Timeout => "TIMEOUT",
            Self::Close => "CLOSE",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Pending,
    Active,
    Inactive {
        since: Timestamp,
    },
    /// Closed, and what was accepted before still runs.
    Closing {
        since: Timestamp,
    },
    Closed {
        at: Timestamp,
    },
    TimedOut {
        at: Timestamp,
    },
}

/// What the sensor said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Where relative paths begin.
    pub working_directory: String,
    /// Logical drives, with their separator.
    pub drives: Vec<String>,
    /// Names of what it can do.
    pub commands: Vec<String>,
    /// For people.
    pub os_version: String,
}

/// Why something cannot be done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The sensor has not come yet.
    #[error("the session is not established: wait until its status is ACTIVE")]
    NotEstablished,
    /// It is over.
    #[error("Session not found")]
    Over,
    /// It had all the commands that it may have.
    #[error("a session takes at most {COMMANDS_MAX} commands; close it and open another")]
    TooMany,
    /// No command of this number.
    #[error("command not found")]
    NoCommand,
    /// It has begun, or is over.
    #[error("the command is not pending any more")]
    NotPending,
}

/// What came of asking for a command to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It is cancelled.
    Done,
    /// The sensor has it, and is asked.
    Asked,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub number: u64,
    /// Number of the device.
    pub device: u32,
    /// How long what may take.
    pub timers: Timers,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Who opened it.
    pub by: String,
    /// What the sensor said of itself, once it was there.
    pub about: Option<About>,
    /// When the sensor was heard last.
    pub checked_in_at: Option<Timestamp>,
    phase: Phase,
    /// The run of the sensor that has the commands which were sent.
    instance: Vec<u8>,
    #[serde(skip)]
    idle_from: Timestamp,
    /// Shared with the states before and after: each change makes a state of its own.
    #[serde(skip)]
    commands: Vec<Arc<Command>>,
    #[serde(skip)]
    fresh: Option<Fresh>,
}

/// What the command found that ended last, as the sensor wrote it: who waits for it need not read it from the disk.
#[derive(Clone, Debug, PartialEq)]
struct Fresh {
    command: u32,
    found: Arc<[u8]>,
}

impl Session {
    /// A session that waits for its sensor.
    #[must_use]
    pub fn new(id: SessionId, timers: Timers, by: String, now: Timestamp) -> Self {
        Self {
            number: id.number,
            device: id.device,
            timers,
            created_at: now,
            by,
            about: None,
            checked_in_at: None,
            phase: Phase::Pending,
            instance: Vec::new(),
            idle_from: now,
            commands: Vec::new(),
            fresh: None,
        }
    }

    /// The session as it was stored, after a restart of the server: its sensor is to come back.
    #[must_use]
    pub fn restored(mut self, commands: Vec<Command>, now: Timestamp) -> Self {
        if matches!(self.phase, Phase::Active | Phase::Inactive { .. }) {
            self.phase = Phase::Inactive { since: now };
        }
        self.commands = commands.into_iter().map(Arc::new).collect();
        self.idle_from = now;
        self
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        SessionId { number: self.number, device: self.device }
    }

    /// How it stands.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.phase {
            Phase::Pending => Status::Pending,
            Phase::Active => Status::Active,
            Phase::Inactive { .. } => Status::Inactive,
            Phase::TimedOut { .. } => Status::Timeout,
            Phase::Closing { .. } | Phase::Closed { .. } => Status::Close,
        }
    }

    /// When it ended, if it did.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Closed { at } | Phase::TimedOut { at } => Some(at),
            Phase::Closing { since } => Some(since),
            Phase::Pending | Phase::Active | Phase::Inactive { .. } => None,
        }
    }

    /// Whether nothing can become of it any more, but for what its sensor still says of commands.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. } | Phase::TimedOut { .. })
    }

    /// Its commands, by their number.
    #[must_use]
    pub fn commands(&self) -> impl ExactSizeIterator<Item = &Command> {
        self.commands.iter().map(Arc::as_ref)
    }

    /// A command.
    #[must_use]
    pub fn command(&self, number: u32) -> Option<&Command> {
        self.commands.get(number as usize).map(Arc::as_ref)
    }

    /// What a command found, if it ended last and found little.
    #[must_use]
    pub fn fresh(&self, number: u32) -> Option<&[u8]> {
        self.fresh.as_ref().filter(|fresh| fresh.command == number).map(|fresh| &*fresh.found)
    }

    fn command_mut(&mut self, number: u32) -> Option<&mut Command> {
        self.commands.get_mut(number as usize).map(Arc::make_mut)
    }

    fn all_are_over(&self) -> bool {
        self.commands().all(Command::is_over)
    }

    /// The sensor has a link: it is asked to enter the session, or to say what it knows of one that is over.
    pub fn arrived(&self) -> Step {
        match self.phase {
            Phase::Closed { .. } | Phase::TimedOut { .. } if self.commands().any(Command::is_guessed) => {
                Step::say(Say::Close)
            }
            Phase::Closed { .. } | Phase::TimedOut { .. } => Step::default(),
            _ => Step::say(Say::Open),
        }
    }

    /// The sensor is in the session. What an earlier run of it had begun is lost; what it was never sent is sent now.
    pub fn joined(&mut self, joined: LiveJoined, now: Timestamp) -> Step {
        if self.is_over() {
            return Step::say(Say::Close);
        }
        let mut step = Step { header: true, ..Step::default() };
        let is_same = self.instance == joined.instance;
        self.instance = joined.instance;
        self.about = Some(About {
            working_directory: joined.working_directory,
            drives: joined.drives,
            commands: joined.commands,
            os_version: joined.os_version,
        });
        self.checked_in_at = Some(now);
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.phase = Phase::Active;
            self.idle_from = now;
        }
        for (number, command) in (0..).zip(&mut self.commands).filter(|(_, command)| !command.is_over()) {
            let command = Arc::make_mut(command);
            if command.is_sent && !is_same {
                command.end(Ended::lost(now));
                step.commands.insert(number);
                continue;
            }
            if !std::mem::replace(&mut command.is_sent, true) {
                step.commands.insert(number);
            }
            step.say.push(if command.is_unwanted { Say::Cancel(number) } else { Say::Run(number) });
        }
        step.also(self.drained(now))
    }

    /// The link of the sensor was lost.
    pub fn lost(&mut self, now: Timestamp) {
        if self.phase == Phase::Active {
            self.phase = Phase::Inactive { since: now };
        }
    }

    /// Takes in a command; gives its number.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotEstablished`], [`Refusal::Over`], [`Refusal::TooMany`].
    pub fn issue(&mut self, issued: Issued, now: Timestamp) -> Result<(u32, Step), Refusal> {
        self.require_open()?;
        if self.commands.len() >= COMMANDS_MAX {
            return Err(Refusal::TooMany);
        }
        let number = u32::try_from(self.commands.len()).map_err(|_| Refusal::TooMany)?;
        let name = issued.order.name();
        let (mut command, mut step) = (Command::new(issued), Step::default());
        step.commands.insert(number);
        if !self.can(name) {
            let text = format!("this endpoint does not support {}", name.text());
            command.end(Ended::of_sensor(Code::NOT_SUPPORTED.0, text, now));
        } else if self.phase == Phase::Active {
            command.is_sent = true;
            step.say.push(Say::Run(number));
        }
        self.commands.push(Arc::new(command));
        self.idle_from = now;
        Ok((number, step))
    }

    fn can(&self, name: Name) -> bool {
        self.about.as_ref().is_some_and(|about| about.commands.iter().any(|have| have == name.text()))
    }

    /// Refuses what needs a session that its sensor has entered.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotEstablished`], [`Refusal::Over`].
    pub const fn require_open(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Pending => Err(Refusal::NotEstablished),
            Phase::Active | Phase::Inactive { .. } => Ok(()),
            Phase::Closing { .. } | Phase::Closed { .. } | Phase::TimedOut { .. } => Err(Refusal::Over),
        }
    }

    /// Someone works with the session: it does not idle.
    ///
    /// # Errors
    ///
    /// [`Refusal::Over`].
    pub fn keep_alive(&mut self, now: Timestamp) -> Result<(), Refusal> {
        if self.ended_at().is_some() {
            return Err(Refusal::Over);
        }
        self.idle_from = now;
        Ok(())
    }

    /// The sensor has begun with a command.
    pub fn started(&mut self, number: u32, now: Timestamp) {
        if let Some(command) = self.command_mut(number) {
            command.start(now);
        }
    }

    /// The sensor has ended a command. It is told so again until it hears that this is stored.
    pub fn ended(&mut self, ended: &LiveEnded, now: Timestamp) -> Step {
        let number = ended.command;
        let mut step = Step::say(Say::Stored(number));
        if let Some(command) = self.command_mut(number).filter(|command| command.may_still_end()) {
            command.end(Ended::of_sensor(ended.code, ended.text.clone(), now));
            step.commands.insert(number);
            step.result = true;
            let is_little = ended.found.len() <= FRESH_BYTES_MAX;
            self.fresh = is_little.then(|| Fresh { command: number, found: ended.found.as_slice().into() });
            self.idle_from = now;
        }
        step.also(self.drained(now))
    }

    /// The sensor will not begin this command.
    pub fn cancelled(&mut self, number: u32, now: Timestamp) -> Step {
        let mut step = Step::say(Say::Stored(number));
        if let Some(command) = self.command_mut(number).filter(|command| command.may_still_end()) {
            command.end(Ended::cancelled(now));
            step.commands.insert(number);
        }
        step.also(self.drained(now))
    }

    /// Cancels a command that has not begun.
    ///
    /// # Errors
    ///
    /// [`Refusal::Over`], [`Refusal::NoCommand`], [`Refusal::NotPending`].
    pub fn cancel(&mut self, number: u32, now: Timestamp) -> Result<(Cancel, Step), Refusal> {
        if self.ended_at().is_some() {
            return Err(Refusal::Over);
        }
        let command = self.command_mut(number).ok_or(Refusal::NoCommand)?;
        if command.state() != State::Pending {
            return Err(Refusal::NotPending);
        }
        let mut step = Step::default();
        step.commands.insert(number);
        if !command.is_sent {
            command.end(Ended::cancelled(now));
            return Ok((Cancel::Done, step));
        }
        command.is_unwanted = true;
        // Another run of the sensor must not answer for the one that has it: who is not in the session is asked later.
        if self.phase == Phase::Active {
            step.say.push(Say::Cancel(number));
        }
        Ok((Cancel::Asked, step))
    }

    /// Closes the session. What was accepted still runs, for ten seconds at most. Closing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal::Over`] if it has timed out.
    pub fn close(&mut self, now: Timestamp) -> Result<Step, Refusal> {
        match self.phase {
            Phase::TimedOut { .. } => return Err(Refusal::Over),
            Phase::Closing { .. } | Phase::Closed { .. } => return Ok(Step::default()),
            Phase::Pending | Phase::Inactive { .. } => return Ok(self.end(Phase::Closed { at: now }, now)),
            Phase::Active => {}
        }
        self.phase = Phase::Closing { since: now };
        Ok(Step { header: true, ..Step::default() }.also(self.drained(now)))
    }

    /// Ends a session that is closed once nothing of it runs.
    fn drained(&mut self, now: Timestamp) -> Step {
        let is_drained = matches!(self.phase, Phase::Closing { .. }) && self.all_are_over();
        if is_drained { self.end(Phase::Closed { at: now }, now) } else { Step::default() }
    }

    /// Ends the session, and what has not ended in it.
    fn end(&mut self, phase: Phase, now: Timestamp) -> Step {
        let mut step = Step { header: true, say: vec![Say::Close], ..Step::default() };
        let is_closed = matches!(phase, Phase::Closed { .. });
        (self.phase, self.fresh) = (phase, None);
        for (number, command) in (0..).zip(&mut self.commands).filter(|(_, command)| !command.is_over()) {
            let command = Arc::make_mut(command);
            command.end(match (command.state(), is_closed) {
                // One that was sent may have begun: nobody can say any more that it was cancelled.
                (State::Pending, true) if !command.is_sent => Ended::cancelled_by_close(now),
                (State::Pending, false) if !command.is_sent => Ended::never_ran(now),
                _ => Ended::lost(now),
            });
            step.commands.insert(number);
        }
        step
    }

    /// When it is to be looked at again, if nothing happens.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let overtime = || self.commands().filter_map(|command| command.given_up_at(OVERTIME_MAX)).min();
        match self.phase {
            Phase::Pending => Some(self.created_at.saturating_add(self.timers.check_in())),
            Phase::Active if self.all_are_over() => Some(self.idle_from.saturating_add(self.timers.idle())),
            Phase::Active => overtime(),
            Phase::Inactive { since } => Some(since.saturating_add(self.timers.session())),
            Phase::Closing { since } => Some(since.saturating_add(DRAIN_MAX)),
            Phase::Closed { .. } | Phase::TimedOut { .. } => None,
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) -> Step {
        if self.wakes_at().is_none_or(|at| at > now) {
            return Step::default();
        }
        match self.phase {
            Phase::Closing { .. } => self.end(Phase::Closed { at: now }, now),
            Phase::Active if !self.all_are_over() => self.give_up(now),
            _ => self.end(Phase::TimedOut { at: now }, now),
        }
    }

    fn give_up(&mut self, now: Timestamp) -> Step {
        let mut step = Step::default();
        for (number, command) in (0..).zip(&mut self.commands) {
            if command.given_up_at(OVERTIME_MAX).is_some_and(|at| at <= now) {
                Arc::make_mut(command).end(Ended::out_of_time(now));
                step.commands.insert(number);
            }
        }
        step
    }
}
