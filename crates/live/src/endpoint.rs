//! The sensor's end of a session: what begins when, and what is kept until the server has stored it.

use crate::{Code, Order};
use muster_wire::{LiveEnded, LiveFile, LiveProgress, LiveRun, live_order, live_report};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Commands that run beside others at once: each has a process or a dump of memory.
const BACKGROUND_MAX: usize = 8;

/// How long it is waited before it is said that a command runs: most have ended by then, and their end says all.
const STARTED_AFTER: Duration = Duration::from_millis(20);

/// One session on the sensor. Instants are spans on a clock that does not stand still, whichever.
#[derive(Debug, Default)]
pub struct Endpoint {
    idle: Duration,
    is_closed: bool,
    /// When the link was lost, if it is.
    lost_at: Option<Duration>,
    commands: BTreeMap<u32, Held>,
    /// Commands that have not begun, in the order in which they will.
    ahead: VecDeque<u32>,
    /// The one that holds the others back.
    busy: Option<u32>,
    background: Vec<u32>,
    /// Commands that run and of which this is not said yet, with when it will be.
    untold: VecDeque<(Duration, u32)>,
}

/// What is known of a command.
#[derive(Debug)]
enum Held {
    Waiting(Box<Waiting>),
    Running,
    Ended(LiveEnded),
    Cancelled,
    /// The server has its end. Its number stays known, so that it can never begin again.
    Stored,
}

#[derive(Debug)]
struct Waiting {
    order: Order,
    timeout: Duration,
    file: Option<LiveFile>,
}

/// What the sensor is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Say that it is in the session, and what it is.
    Join,
    /// Say this.
    Say(live_report::What),
    /// Carry this command out, and tell [`Endpoint::ended`] how it ended.
    Begin {
        /// Its number.
        command: u32,
        /// What to do.
        order: Order,
        /// After which it is given up.
        timeout: Duration,
        /// The file that it moves.
        file: Option<LiveFile>,
    },
}

impl Endpoint {
    /// Takes what the server said, at this instant.
    pub fn hear(&mut self, what: live_order::What, now: Duration) -> Vec<Act> {
        self.lost_at = None;
        match what {
            live_order::What::Open(open) => self.open(Duration::from_millis(open.idle_ms)),
            live_order::What::Run(run) => self.run(run, now),
            live_order::What::Cancel(command) => self.cancel(command),
            live_order::What::Close(_) => self.close(),
            live_order::What::Stored(command) => {
                if let Some(held @ (Held::Ended(_) | Held::Cancelled)) = self.commands.get_mut(&command) {
                    *held = Held::Stored;
                }
                Vec::new()
            }
        }
    }

    fn open(&mut self, idle: Duration) -> Vec<Act> {
        self.idle = idle;
        if self.is_closed {
            return self.say_all();
        }
        [Act::Join].into_iter().chain(self.say_all()).collect()
    }

    fn say_all(&self) -> Vec<Act> {
        self.commands.keys().filter_map(|command| self.say(*command)).collect()
    }

    /// How a command stands, if there is something to say of it.
    fn say(&self, command: u32) -> Option<Act> {
        Some(Act::Say(match self.commands.get(&command)? {
            Held::Waiting(_) | Held::Stored => return None,
            Held::Running => live_report::What::Started(command),
            Held::Ended(ended) => live_report::What::Ended(ended.clone()),
            Held::Cancelled => live_report::What::Cancelled(command),
        }))
    }

    fn run(&mut self, run: LiveRun, now: Duration) -> Vec<Act> {
        let command = run.command;
        if self.commands.contains_key(&command) {
            return self.say(command).into_iter().collect();
        }
        if self.is_closed {
            self.commands.insert(command, Held::Cancelled);
            return self.say(command).into_iter().collect();
        }
        let Ok(order) = serde_json::from_slice(&run.order) else {
            let text = "this sensor does not know such a command".to_owned();
            let ended = LiveEnded { command, code: Code::NOT_SUPPORTED.0, text, found: Vec::new() };
            self.commands.insert(command, Held::Ended(ended));
            return self.say(command).into_iter().collect();
        };
        let waiting = Waiting { order, timeout: Duration::from_millis(run.timeout_ms), file: run.file };
        self.commands.insert(command, Held::Waiting(Box::new(waiting)));
        self.ahead.push_back(command);
        self.begin(now)
    }

    fn cancel(&mut self, command: u32) -> Vec<Act> {
        if matches!(self.commands.get(&command), None | Some(Held::Waiting(_))) {
            self.commands.insert(command, Held::Cancelled);
            self.ahead.retain(|ahead| *ahead != command);
        }
        self.say(command).into_iter().collect()
    }

    fn close(&mut self) -> Vec<Act> {
        self.is_closed = true;
        while let Some(command) = self.ahead.pop_front() {
            self.commands.insert(command, Held::Cancelled);
        }
        self.say_all()
    }

    /// Begins what may begin now.
    fn begin(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        while self.busy.is_none() {
            let Some(command) = self.ahead.front().copied() else { break };
            let Some(Held::Waiting(waiting)) = self.commands.get(&command) else {
                self.ahead.pop_front();
                continue;
            };
            if waiting.order.is_background() {
                if self.background.len() >= BACKGROUND_MAX {
                    break;
                }
                self.background.push(command);
            } else {
                self.busy = Some(command);
            }
            self.ahead.pop_front();
            if let Some(Held::Waiting(waiting)) = self.commands.insert(command, Held::Running) {
                self.untold.push_back((now.saturating_add(STARTED_AFTER), command));
                let Waiting { order, timeout, file } = *waiting;
                acts.push(Act::Begin { command, order, timeout, file });
            }
        }
        acts
    }

    /// A command has come so far: it is said before that it runs.
    pub fn progressed(&mut self, progress: LiveProgress) -> Vec<Act> {
        let is_untold = self.untold.iter().any(|(_, untold)| *untold == progress.command);
        self.untold.retain(|(_, untold)| *untold != progress.command);
        let started = is_untold.then_some(live_report::What::Started(progress.command));
        started.into_iter().chain([live_report::What::Progress(progress)]).map(Act::Say).collect()
    }

    /// A command ended, at this instant.
    pub fn ended(&mut self, ended: LiveEnded, now: Duration) -> Vec<Act> {
        let command = ended.command;
        self.commands.insert(command, Held::Ended(ended));
        self.busy = self.busy.filter(|busy| *busy != command);
        self.background.retain(|running| *running != command);
        self.untold.retain(|(_, untold)| *untold != command);
        self.say(command).into_iter().chain(self.begin(now)).collect()
    }

    /// The link was lost, at this instant.
    pub fn lost(&mut self, now: Duration) {
        self.lost_at.get_or_insert(now);
    }

    /// When it is to be looked at again, if nothing happens.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Duration> {
        let told_at = self.untold.front().map(|(at, _)| *at);
        [self.left_at(), told_at].into_iter().flatten().min()
    }

    /// When the session is left, should its server not be heard.
    fn left_at(&self) -> Option<Duration> {
        self.lost_at.filter(|_| !self.is_closed).map(|at| at.saturating_add(self.idle))
    }

    /// Does what is due: says of commands that they run, and leaves a session whose server was not heard for too long, so
    /// that what waits is not begun any more.
    pub fn tick(&mut self, now: Duration) -> Vec<Act> {
        if self.left_at().is_some_and(|at| at <= now) {
            self.close();
        }
        let due = self.untold.iter().take_while(|(at, _)| *at <= now).count();
        let due: Vec<u32> = self.untold.drain(..due).map(|(_, command)| command).collect();
        due.into_iter().filter_map(|command| self.say(command)).collect()
    }

    /// Whether it is closed, nothing runs, and nothing is left that the server has not stored.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_closed && self.commands.values().all(|held| matches!(held, Held::Stored | Held::Cancelled))
    }

    /// Whether the session takes no more commands.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }
}
