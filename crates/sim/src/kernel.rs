//! Virtual time, the agenda of what happens next, randomness, and the trace.
//!
//! Everything that happens in a run is an event on the agenda ([`Event`] in the
//! simulation of orders); events of the same instant happen in the order in which
//! they were put there.

use std::cell::RefCell;
use std::collections::BTreeMap;

use muster_model::TaskId;

use crate::rng::Rng;

/// Microseconds of true time since the run began.
pub type Micros = u64;

/// One second of true time.
pub const SECOND: Micros = 1_000_000;
/// One millisecond of true time.
pub const MS: Micros = 1_000;

/// Number of a link; rises over the run.
pub type LinkId = u64;

/// Which way a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the sensor to the server.
    Up,
    /// From the server to the sensor.
    Down,
}

/// Something that happens at an instant.
#[derive(Clone, Debug)]
pub enum Event {
    /// The store's writer reaches this commit.
    Commit(u64),
    /// The server learns what became of this commit.
    Stored(u64),
    /// An answer of the server reaches its operator.
    Answered(u64),
    /// The server writes what waits for a link.
    Flush(LinkId),
    /// The server takes up what it heard on a link.
    Hear(LinkId),
    /// The server has read what is stored of the spool of a sensor that connects.
    SpoolRead(LinkId),
    /// The server's ticker.
    Tick(u32),
    /// Another server takes the place of this one, which was deposed. Incarnation.
    Replaced(u32),
    /// The server starts.
    ServerUp,
    /// The next message of a link arrives.
    Arrive(LinkId, Way),
    /// The receiving end of this direction learns that the link is dead.
    Gone(LinkId, Way),
    /// A sensor process looks at its clock. Host, incarnation.
    Look(usize, u32),
    /// A command has its effect. Host, incarnation, task.
    Happen(usize, u32, TaskId),
    /// A command ends. Host, incarnation, task.
    End(usize, u32, TaskId),
    /// A command has ended that was asked to. Host, incarnation, task.
    Stopped(usize, u32, TaskId),
    /// A sensor process starts.
    HostUp(usize),
    /// An operator does something.
    Operate,
    /// Something breaks.
    Break,
    /// The store has room again.
    Room,
    /// Two endpoints with one identity are parted.
    Part,
}

struct Inner<E> {
    now: Micros,
    order: u64,
    agenda: BTreeMap<(Micros, u64), E>,
    rng: Rng,
    hash: u64,
    lines: Option<Vec<String>>,
}

/// Time, agenda, randomness and trace of one run.
pub struct Kernel<E = Event>(RefCell<Inner<E>>);

impl<E> Kernel<E> {
    /// The kernel of a seed; `keeps_lines` keeps a readable trace.
    #[must_use]
    pub fn new(seed: u64, keeps_lines: bool) -> Self {
        Self(RefCell::new(Inner {
            now: 0,
            order: 0,
            agenda: BTreeMap::new(),
            rng: Rng::new(seed),
            hash: 0xcbf2_9ce4_8422_2325,
            lines: keeps_lines.then(Vec::new),
        }))
    }

    /// True time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.0.borrow().now
    }

    /// Puts an event on the agenda.
    pub fn after(&self, delay: Micros, event: E) {
        let at = self.now() + delay;
        self.at(at, event);
    }

    /// Puts an event on the agenda, not before the present.
    pub fn at(&self, at: Micros, event: E) {
        let mut inner = self.0.borrow_mut();
        inner.order += 1;
        let key = (at.max(inner.now), inner.order);
        inner.agenda.insert(key, event);
    }

    /// Goes on to the next event, unless it is later than `until`.
    pub fn next(&self, until: Micros) -> Option<E> {
        let mut inner = self.0.borrow_mut();
        let first = inner.agenda.first_entry().filter(|first| first.key().0 <= until)?;
        let ((at, _), event) = first.remove_entry();
        inner.now = at;
        Some(event)
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.0.borrow_mut().rng.draw()
    }

    /// A random number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.random() % bound.max(1)
    }

    /// A random index of a list with so many items.
    pub fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A random number from `low` up to `high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `percent` of cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Sixteen random bytes.
    pub fn id(&self) -> [u8; 16] {
        ((u128::from(self.random()) << 64) | u128::from(self.random())).to_be_bytes()
    }

    /// Adds a step to the trace.
    pub fn note(&self, step: impl FnOnce() -> String) {
        let step = step();
        let mut inner = self.0.borrow_mut();
        let line = format!("{:>12.6} {step}", inner.now as f64 / 1e6);
        for byte in line.bytes() {
            inner.hash = (inner.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = inner.lines.as_mut() {
            lines.push(line);
        }
    }

    /// Hash of the trace so far (FNV-1a).
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.0.borrow().hash
    }

    /// The readable trace, if it was kept.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().lines.clone().unwrap_or_default()
    }
}
