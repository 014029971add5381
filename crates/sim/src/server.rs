//! A server as the simulation runs it: the real queue and store, and small async
//! jobs that take the same steps as `muster-server`, on virtual time.
//!
//! Each step of the real server that waits for the disk waits here as well, so
//! that jobs interleave and a crash can fall between any two steps. The files
//! stand beside theirs: `connection` is `gateway/{connection,admit}.rs` and
//! `sensor/{presence,change}.rs`; `tasking` is `tasking/*.rs`; `ingest` is `event/ingest.rs`.

mod connection;
mod ingest;
mod link;
mod tasking;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use muster_model::{Oid, Timestamp};
use muster_store::{SensorRow, Store, StoreError, Write};
use muster_tasking::{Queue, Task};
use roaring::RoaringBitmap;
use uuid::Uuid;

pub use connection::{Edit, delete, edit_sensors, undelete};
pub use link::ServerLink;
pub use tasking::{NewTask, Untasking, create, pause, resume, untask};

use crate::kernel::{Event, Kernel, LinkId, MS, Micros, SECOND};
use crate::net::Net;
use crate::oracle::Truth;
use crate::world::Sabotage;

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

/// What changes in the organization; as `organization.rs` of the server.
#[derive(Default)]
pub struct State {
    /// Sensors by ordinal.
    pub fleet: Vec<SensorRow>,
    /// Reliable tasks.
    pub queue: Queue,
    /// Live links by ordinal.
    pub links: BTreeMap<u32, Rc<ServerLink>>,
    /// The same as a set.
    pub online: RoaringBitmap,
    /// Spool of each online sensor, and its highest stored event.
    pub spools: BTreeMap<u32, ([u8; 16], u64)>,
}

/// One server process, shared by its jobs.
pub struct Node {
    /// What outlives it.
    pub site: Site,
    /// Counts the starts of the server.
    pub incarnation: u32,
    /// Everything that it knows.
    pub state: RefCell<State>,
    current: Cell<u64>,
    last_id: Cell<u64>,
    spawned: RefCell<Vec<(u64, Job)>>,
    commits: RefCell<BTreeMap<u64, (u64, Vec<Write>)>>,
    last_commit_at: Cell<Micros>,
    stored: RefCell<BTreeMap<u64, Result<(), StoreError>>>,
    is_ticking: Cell<bool>,
    /// As `Organization::sensor_changes`, with one lock for all sensors.
    sensor_changes: Lock,
    /// As `Organization::control_changes`.
    control_changes: Lock,
    connections: RefCell<BTreeMap<LinkId, Rc<ServerLink>>>,
}

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// A server process and its unfinished jobs. Dropping it is its crash.
pub struct Server {
    /// What the jobs share.
    pub node: Rc<Node>,
    jobs: BTreeMap<u64, Job>,
}

/// Lets one job after the other through; as `tokio::sync::Mutex` for the server.
#[derive(Default)]
struct Lock {
    is_taken: Cell<bool>,
    waiting: RefCell<VecDeque<u64>>,
}

struct Guard<'a>(&'a Lock, &'a Kernel);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        for job in self.0.waiting.take() {
            self.1.after(0, Event::Wake(job));
        }
    }
}

impl Lock {
    async fn lock<'a>(&'a self, node: &'a Node) -> Guard<'a> {
        poll_fn(|_| {
            if self.is_taken.replace(true) {
                self.waiting.borrow_mut().push_back(node.current.get());
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        Guard(self, &node.site.kernel)
    }
}

impl Node {
    /// The server's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let true_micros = i64::try_from(self.site.kernel.now()).unwrap_or(i64::MAX);
        Timestamp::from_micros(EPOCH_MICROS + true_micros + self.site.clock_micros.get())
    }

    fn fresh_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// Begins a job.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'static) -> u64 {
        let id = self.fresh_id();
        self.spawned.borrow_mut().push((id, Box::pin(job)));
        self.site.kernel.after(self.site.kernel.below(MS), Event::Wake(id));
        id
    }

    /// Commits a list as [`Store::commit`] does: in order of arrival, answered some time after it is on disk.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let kernel = &self.site.kernel;
        let id = self.fresh_id();
        let stall = if kernel.chance(3) { kernel.below(3 * SECOND) } else { kernel.below(4 * MS) };
        let at = (kernel.now() + stall).max(self.last_commit_at.get());
        self.last_commit_at.set(at);
        self.commits.borrow_mut().insert(id, (self.current.get(), writes));
        kernel.at(at, Event::Commit(id));
        if self.site.sabotage == Some(Sabotage::AnswerBeforeStore) {
            return Ok(());
        }
        poll_fn(|_| self.stored.borrow_mut().remove(&id).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Lets some time pass, in which other jobs go on.
    pub async fn pause(&self, most: Micros) {
        let kernel = &self.site.kernel;
        let until = kernel.now() + kernel.below(most);
        kernel.at(until, Event::Wake(self.current.get()));
        poll_fn(|_| if kernel.now() >= until { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl State {
    fn row(&self, ordinal: u32) -> Option<&SensorRow> {
        self.fleet.get(ordinal as usize)
    }

    fn put(&mut self, row: SensorRow) {
        let place = row.ordinal as usize;
        match self.fleet.get_mut(place) {
            Some(have) => *have = row,
            None => self.fleet.push(row),
        }
    }
}

/// Loads all state of the store, as `App::load_organizations` of the server.
///
/// # Errors
///
/// Whatever the store says.
pub fn load(store: &Store) -> Result<State, StoreError> {
    let mut state = State::default();
    store.read_blocking(|read| {
        read.sensors(&mut |row| state.put(row))?;
        let mut rows = Vec::new();
        read.tasks(&mut |row| rows.push(row))?;
        for row in rows {
            let unreadable = |error: serde_json::Error| StoreError::Corrupt(format!("task {}: {error}", row.task_id));
            let spec = serde_json::from_str(&row.spec).map_err(unreadable)?;
            let control = serde_json::from_str(&row.control).map_err(unreadable)?;
            let mut task = Task::new(row.number, spec, control, row.targets);
            read.targets(row.oid, row.number, &mut |ordinal, target| task.restore(ordinal, target))?;
            state.queue.insert(task);
        }
        Ok(())
    })?;
    Ok(state)
}

impl Server {
    /// Starts a server on what the store holds.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn start(site: Site, incarnation: u32) -> Result<Self, StoreError> {
        let state = load(&site.store)?;
        site.kernel.note(|| format!("server {incarnation} starts with {} tasks", state.queue.tasks().count()));
        let node = Node {
            incarnation,
            state: RefCell::new(state),
            current: Cell::new(0),
            last_id: Cell::new(u64::from(incarnation) << 32),
            spawned: RefCell::default(),
            commits: RefCell::default(),
            last_commit_at: Cell::new(0),
            stored: RefCell::default(),
            is_ticking: Cell::new(false),
            sensor_changes: Lock::default(),
            control_changes: Lock::default(),
            connections: RefCell::default(),
            site,
        };
        Ok(Self { node: Rc::new(node), jobs: BTreeMap::new() })
    }

    /// Lets a job go on, if there is one of this number.
    pub fn wake(&mut self, id: u64) {
        self.take_spawned();
        let Some(mut job) = self.jobs.remove(&id) else { return };
        self.node.current.set(id);
        if job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.jobs.insert(id, job);
        }
        self.take_spawned();
    }

    fn take_spawned(&mut self) {
        self.jobs.extend(self.node.spawned.take());
    }

    /// The store's writer reaches a commit; its caller learns of it a little later.
    pub fn reach(&self, commit: u64) {
        let Some((job, writes)) = self.node.commits.borrow_mut().remove(&commit) else { return };
        let kernel = &self.node.site.kernel;
        let result = self.node.site.store.commit_blocking(writes);
        if let Err(error) = &result {
            kernel.note(|| format!("server: commit fails: {error}"));
        }
        self.node.stored.borrow_mut().insert(commit, result);
        kernel.after(kernel.below(2 * MS), Event::Wake(job));
    }

    /// The ticker of the server: retries, paced sends, expiry.
    pub fn tick(&self) {
        if self.node.is_ticking.replace(true) {
            return;
        }
        let node = Rc::clone(&self.node);
        self.node.spawn(async move {
            tasking::tick(&node).await;
            node.is_ticking.set(false);
        });
    }

    /// A sensor process connects.
    pub fn accept(&self, link: LinkId) {
        connection::accept(&self.node, link);
    }

    /// A message or the end of a link arrives.
    pub fn arrive(&self, link: LinkId, is_end: bool) {
        connection::arrive(&self.node, link, is_end);
    }

    /// Ends the process. Of the commits that wait, some reach the disk, in order; nobody learns of them.
    pub fn crash(self) {
        let kernel = &self.node.site.kernel;
        let waiting = self.node.commits.take();
        let reached = kernel.index(waiting.len() + 1);
        kernel.note(|| format!("server dies; {reached} of {} waiting commits reach the disk", waiting.len()));
        for (_, (_, writes)) in waiting.into_iter().take(reached) {
            // A conflict or a full disk is no news to anyone any more.
            let _ = self.node.site.store.commit_blocking(writes);
        }
        let links: Vec<LinkId> = self.node.connections.borrow().keys().copied().collect();
        let mut net = self.node.site.net.borrow_mut();
        links.into_iter().for_each(|link| net.close_down(link));
    }
}
