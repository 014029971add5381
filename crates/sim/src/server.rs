//! A server as the simulation runs it: the product's dispatch machine and store, driven over virtual time.
//!
//! What stands here is only what `muster-server` does around the machine: a store whose commits take time, links,
//! a handshake, spools of events. Each commit waits for the disk as it does there, so that a crash can fall
//! between any two steps, and any number of them are under way at once.

mod act;
mod ask;
mod connection;
mod ingest;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use muster_model::{Oid, Timestamp};
use muster_server::tasking::row;
use muster_store::{Store, StoreError};
use muster_tasking::Dispatch;
use muster_tasking::dispatch::{Effect, RequestId};
use uuid::Uuid;

pub use ask::NewTask;

use crate::kernel::{Event, Kernel, LinkId, MS, Micros};
use crate::net::Net;
use crate::oracle::Truth;
use crate::world::Sabotage;
use act::Commit;
use ask::{Answered, Asked};
use connection::Connection;

/// The organization of every run.
pub const OID: Oid = Oid(Uuid::from_u128(0x0123));

/// Server time at the start of a run: 2025-06-01T00:00:00Z.
pub const EPOCH_MICROS: i64 = 1_748_736_000_000_000;

/// What outlives a server process.
#[derive(Clone)]
pub struct Site {
    /// Time and randomness.
    pub kernel: Rc<Kernel>,
    /// Links.
    pub net: Rc<RefCell<Net>>,
    /// The disk.
    pub store: Store,
    /// Microseconds that the server's clock is ahead of true time.
    pub clock_micros: Rc<Cell<i64>>,
    /// What really happened.
    pub truth: Rc<RefCell<Truth>>,
    /// A durable step that is left out on purpose.
    pub sabotage: Option<Sabotage>,
}

/// One server process. Dropping it is its crash.
pub struct Server {
    /// What outlives it.
    pub site: Site,
    /// Counts the starts of the server.
    pub incarnation: u32,
    /// Everything that it knows.
    pub dispatch: Dispatch,
    last_id: u64,
    commits: BTreeMap<u64, Commit>,
    last_commit_at: Micros,
    results: BTreeMap<u64, (Commit, Result<(), StoreError>)>,
    asked: BTreeMap<RequestId, Asked>,
    /// Answers on their way to operators.
    answers: BTreeMap<u64, Answered>,
    connections: BTreeMap<LinkId, Connection>,
}

/// Loads all state of the store into a machine.
///
/// # Errors
///
/// Whatever the store says.
pub fn load(store: &Store, seed: u64) -> Result<Dispatch, StoreError> {
    let mut dispatch = Dispatch::new(seed);
    store.read_blocking(|read| {
        dispatch.restore_clock(row::clock(OID, read)?);
        // Nothing damages rows here.
        read.sensors(None, &mut |row| row.into_iter().for_each(|row| dispatch.restore_sensor(row)))?;
        let mut rows = VecDeque::new();
        read.tasks(None, &mut |row| rows.extend(row))?;
        while let Some(row) = rows.pop_front() {
            dispatch.restore_task(row::task(row, read)?);
        }
        Ok(())
    })?;
    Ok(dispatch)
}

impl Server {
    /// Starts a server on what the store holds.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn start(site: Site, incarnation: u32) -> Result<Self, StoreError> {
        let site = Site { store: site.store.owning(), ..site };
        let mut claimed = site.store.claim(&[OID]);
        while let Err(StoreError::Busy | StoreError::Unknown(_)) = claimed {
            claimed = site.store.claim(&[OID]);
        }
        claimed?;
        let dispatch = load(&site.store, site.kernel.random())?;
        // What was set while no server ran, or was not stored when one died, is not known to anyone.
        let known = dispatch.queue.steady(Timestamp::ZERO).as_micros();
        site.truth.borrow_mut().server_started(site.clock_micros.get() + known);
        site.kernel.note(|| format!("server {incarnation} starts with {} tasks", dispatch.queue.tasks().count()));
        Ok(Self {
            site,
            incarnation,
            dispatch,
            last_id: u64::from(incarnation) << 32,
            commits: BTreeMap::new(),
            last_commit_at: 0,
            results: BTreeMap::new(),
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            connections: BTreeMap::new(),
        })
    }

    /// The server's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let true_micros = i64::try_from(self.site.kernel.now()).unwrap_or(i64::MAX);
        Timestamp::from_micros(EPOCH_MICROS + true_micros + self.site.clock_micros.get())
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Lets happen after up to `most` what the event says.
    fn soon(&self, most: Micros, event: Event) {
        self.site.kernel.after(self.site.kernel.below(most), event);
    }

    /// Tells the machine something, and carries out what follows.
    fn tell(&mut self, input: impl FnOnce(&mut Dispatch, Timestamp) -> Vec<Effect>) {
        let now = self.now();
        if self.site.sabotage != Some(Sabotage::TrustClock) {
            self.dispatch.read_clocks(now, Duration::from_micros(self.site.kernel.now()));
        }
        let effects = input(&mut self.dispatch, now);
        effects.into_iter().for_each(|effect| self.act(effect));
    }

    /// The ticker of the server, which looks at an organization only when time has something to do there.
    pub fn tick(&mut self) {
        self.tell(|dispatch, now| match dispatch.due_in(now) {
            Some(Duration::ZERO) => dispatch.tick(now),
            _ => Vec::new(),
        });
    }

    /// Ends the process. Of the commits that wait, some reach the disk, in order; nobody learns of them.
    pub fn crash(self) {
        let kernel = &self.site.kernel;
        let reached = kernel.index(self.commits.len() + 1);
        kernel.note(|| format!("server dies; {reached} of {} waiting commits reach the disk", self.commits.len()));
        for (_, commit) in self.commits.into_iter().take(reached) {
            // A conflict or a full disk is no news to anyone any more.
            let _ = self.site.store.commit_blocking(commit.writes);
        }
        let mut net = self.site.net.borrow_mut();
        self.connections.into_keys().for_each(|link| net.close_down(link));
    }

    /// Something of this process that was put off comes to pass.
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Commit(id) => self.reach(id),
            Event::Stored(id) => self.stored(id),
            Event::Answered(id) => self.answered(id),
            Event::Flush(link) => self.flush(link),
            Event::Hear(link) => self.hear_next(link),
            Event::SpoolRead(link) => self.spool_read(link),
            _ => {}
        }
    }
}

/// A message, an answer or a record is a few milliseconds under way within a process.
const HANDED_OVER: Micros = 2 * MS;
