//! Outputs: where streams are sent, from durable queues.
//!
//! What [`Queues::enqueue`] gives of records puts those that an output wants into its
//! queue, in the commit that keeps them, and wakes the output after it. One worker per output takes
//! them out again: reads a batch, delivers, forgets. What was delivered and not
//! yet forgotten when the server died is delivered again: at least once, in the
//! order of the queue.
//!
//! Source: reference/events.md sections 11, 12.

pub mod destination;
mod error;
mod file;
mod filter;
mod format;
mod settings;
mod standing;
mod syslog;
mod webhook;
mod worker;

pub use settings::MODULES;
pub use worker::run;

pub use error::Error;

use crate::access::{Reach, Secrets, Sight};
use crate::clock;
use crate::intake::event::{self, Actor};
use crate::intake::{self, Beside, Committed, Queues, Record};
use crate::names;
use crate::records::{Kind, Records};
use crate::telemetry::Telemetry;
use filter::Filter;
use format::Format;
use muster_model::Oid;
use muster_store::{Expect, Store, Stream, Write};
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value, json};
use settings::Module;
use standing::Outcome;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Outputs of organizations, by name; the settings as the client wrote them, with `module` and `for`.
pub const OUTPUT: Kind<Map<String, Value>> = Kind::new("output");

/// Outputs per organization: each has a worker and a queue.
pub const OUTPUTS_MAX: usize = 64;

/// Settings of an output that are shown to whom its others are secret.
const OUTLINE: [&str; 4] = ["name", "module", "type", "for"];

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A position behind every record of a queue.
const ALL: u64 = i64::MAX.cast_unsigned();

/// Bytes in the queue of one output; above, the oldest records are dropped.
/// Source: reference/events.md section 11.3.
const QUEUE_BYTES_MAX: u64 = 1 << 30;

/// What an output is fed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Of(Stream),
    /// Only what rules send to it by name.
    Tailored,
}

/// One output, ready to match and deliver.
pub struct Output {
    oid: Oid,
    name: String,
    feed: Feed,
    filter: Filter,
    format: Format,
    module: Module,
    is_delete_on_failure: bool,
    /// The settings it was made of: tells whether a change is one.
    settings: Map<String, Value>,
    /// What came of its deliveries.
    outcome: Mutex<Outcome>,
    /// Wakes the worker.
    wake: Notify,
    /// More waits than may.
    overfull: Notify,
    /// Bytes in the queue, roughly: records are counted before their commit, so that a worker which is quick to
    /// deliver them does not take off what is only added then.
    waiting_bytes: AtomicU64,
}

impl Output {
    fn compile(oid: Oid, name: &str, settings: Map<String, Value>, anon_seed: &str) -> Result<Self, Error> {
        let read = settings::Settings(&settings);
        Ok(Self {
            oid,
            name: name.to_owned(),
            feed: read.feed()?,
            filter: Filter::read(&read)?,
            format: Format::read(&read, anon_seed)?,
            module: Module::read(&read)?,
            is_delete_on_failure: read.flag("is_delete_on_failure")?,
            settings,
            outcome: Mutex::default(),
            wake: Notify::new(),
            overfull: Notify::new(),
            waiting_bytes: AtomicU64::new(0),
        })
    }

    fn admits(&self, record: &Record) -> bool {
        !record.is_private() && self.filter.admits(record)
    }

    fn uncount(&self, bytes: u64) {
        let less = |have: u64| Some(have.saturating_sub(bytes));
        let _ = self.waiting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Says so if more waits than may.
    fn mind_bound(&self) {
        if self.waiting_bytes.load(Ordering::Relaxed) > QUEUE_BYTES_MAX {
            self.overfull.notify_one();
        }
    }

    fn forget(&self, through: u64) -> Write {
        Write::Dequeue { oid: self.oid, output: self.name.clone(), through }
    }
}

/// Records on their way into the queue of an output.
struct Enqueued {
    output: Arc<Output>,
    bodies: Vec<Vec<u8>>,
    bytes: u64,
    is_stored: bool,
}

impl Enqueued {
    fn new(output: &Arc<Output>, bodies: Vec<Vec<u8>>) -> Self {
        let bytes = bodies.iter().map(Vec::len).sum::<usize>() as u64;
        output.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { output: Arc::clone(output), bodies, bytes, is_stored: false }
    }
}

impl intake::Enqueued for Enqueued {
    fn write(&mut self) -> Write {
        let Output { oid, name, .. } = &*self.output;
        Write::Enqueue { oid: *oid, output: name.clone(), bodies: std::mem::take(&mut self.bodies) }
    }

    fn wake(mut self: Box<Self>, _: &Committed<'_>) {
        self.is_stored = true;
        self.output.wake.notify_one();
        self.output.mind_bound();
    }
}

impl Drop for Enqueued {
    fn drop(&mut self) {
        if !self.is_stored {
            self.output.uncount(self.bytes);
        }
    }
}

/// All outputs of the server, compiled.
#[derive(Default)]
pub struct Outputs {
    by_organization: RwLock<HashMap<Oid, Arc<[Arc<Output>]>>>,
    changed: Notify,
}

impl Outputs {
    /// Compiles the stored outputs of all organizations; `secrets` makes the private seeds of the template
    /// function `anon`.
    pub fn load(&self, records: &Records, secrets: &Secrets) {
        for oid in records.owners(OUTPUT) {
            self.reload(records, secrets, oid);
        }
    }

    /// Compiles the stored outputs of one organization; those that did not change stay as they are.
    pub(crate) fn reload(&self, records: &Records, secrets: &Secrets, oid: Oid) {
        let mut by_organization = self.by_organization.write();
        let old = by_organization.remove(&oid).unwrap_or_else(|| Arc::from([]));
        let (mut new, anon_seed) = (Vec::new(), secrets.anon_seed(oid));
        for (name, settings) in records.list(oid, OUTPUT) {
            let same = old.iter().find(|output| output.name == name && output.settings == settings);
            match same.map_or_else(
                || Output::compile(oid, &name, settings, &anon_seed).map(Arc::new),
                |same| Ok(Arc::clone(same)),
            ) {
                Ok(output) => new.push(output),
                Err(error) => tracing::error!(%oid, name, %error, "a stored output cannot be read"),
            }
        }
        if !new.is_empty() {
            by_organization.insert(oid, new.into());
        }
        drop(by_organization);
        self.changed.notify_one();
    }

    /// Makes a changed output start over with an unchanged configuration too: that is how it is re-enabled.
    fn restart(&self, records: &Records, secrets: &Secrets, oid: Oid, names: &[&str]) {
        if let Some(outputs) = self.by_organization.write().get_mut(&oid) {
            *outputs = outputs.iter().filter(|output| !names.contains(&output.name.as_str())).cloned().collect();
        }
        self.reload(records, secrets, oid);
    }

    /// Ends the outputs of an organization that is someone else's by now.
    pub(crate) fn end(&self, oid: Oid) {
        self.by_organization.write().remove(&oid);
        self.changed.notify_one();
    }

    fn of(&self, oid: Oid) -> Option<Arc<[Arc<Output>]>> {
        self.by_organization.read().get(&oid).cloned()
    }

    fn find(&self, oid: Oid, name: &str) -> Option<Arc<Output>> {
        self.of(oid)?.iter().find(|output| output.name == name).cloned()
    }

    /// Bytes in all queues, roughly.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.all().iter().map(|output| output.waiting_bytes.load(Ordering::Relaxed)).sum()
    }

    fn all(&self) -> Vec<Arc<Output>> {
        self.by_organization.read().values().flat_map(|outputs| outputs.iter().cloned()).collect()
    }

    /// What the `tailored` output of this name gets of a record: nothing if its filters do not want it. `None` if
    /// the organization has no such output.
    pub(crate) fn send_tailored(&self, name: &str, record: &Record) -> Option<Option<Box<dyn intake::Enqueued>>> {
        let output = self.find(record.oid, name).filter(|output| output.feed == Feed::Tailored)?;
        let enqueued = || Box::new(Enqueued::new(&output, vec![record.body.to_vec()])) as Box<dyn intake::Enqueued>;
        Some(output.admits(record).then(enqueued))
    }
}

impl Queues for Outputs {
    fn enqueue(&self, records: &[&Record]) -> Vec<Box<dyn intake::Enqueued>> {
        let mut enqueued: Vec<Box<dyn intake::Enqueued>> = Vec::new();
        for of_one in records.chunk_by(|one, next| one.oid == next.oid) {
            let Some(outputs) = of_one.first().and_then(|record| self.of(record.oid)) else { continue };
            for output in outputs.iter() {
                let bodies: Vec<Vec<u8>> = of_one
                    .iter()
                    .filter(|record| output.feed == Feed::Of(record.stream) && output.admits(record))
                    .map(|record| record.body.to_vec())
                    .collect();
                if !bodies.is_empty() {
                    enqueued.push(Box::new(Enqueued::new(output, bodies)));
                }
            }
        }
        enqueued
    }
}

/// Empties the queue of an output that is new or gone.
#[must_use]
pub fn forget_all(oid: Oid, name: &str) -> Write {
    Write::Dequeue { oid, output: name.to_owned(), through: ALL }
}

/// The outputs of a server, and what they need of it.
pub struct Delivery {
    /// Those at work.
    pub(crate) outputs: Arc<Outputs>,
    pub(crate) telemetry: Telemetry,
    pub(crate) store: Store,
    pub(crate) records: Arc<Records>,
    pub(crate) secrets: Secrets,
    /// Below it are the files of outputs.
    pub(crate) data_dir: PathBuf,
    /// Whether outputs may lead to private addresses.
    pub(crate) allow_private: bool,
}

impl Delivery {
    /// The settings of an output as they are to be stored, if it can be made of them and may reach what it names.
    ///
    /// # Errors
    ///
    /// An error naming the setting that is missing or wrong.
    pub async fn checked(
        &self,
        oid: Oid,
        name: &str,
        settings: Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(Error::Name);
        }
        let settings = settings::normal(settings, name)?;
        let output = Output::compile(oid, name, settings.clone(), &self.secrets.anon_seed(oid))?;
        names::require_known(settings.keys().map(String::as_str), settings::KNOWN)?;
        output.module.check_destination(self.allow_private).await?;
        Ok(settings)
    }

    /// Makes the stored outputs of an organization the ones at work; those named start over.
    pub fn restart(&self, oid: Oid, names: &[&str]) {
        self.outputs.restart(&self.records, &self.secrets, oid, names);
    }

    /// Creates or replaces an output; gives it as stored.
    ///
    /// # Errors
    ///
    /// An error naming the setting that is missing or wrong, [`Error::TooMany`], or whatever the store says.
    pub async fn put(
        &self,
        oid: Oid,
        name: &str,
        settings: Map<String, Value>,
        actor: &Actor,
    ) -> Result<Map<String, Value>, Error> {
        let is_new = !self.records.has(oid, OUTPUT, name);
        if is_new && self.records.count(oid, OUTPUT) >= OUTPUTS_MAX {
            return Err(Error::TooMany);
        }
        let settings = self.checked(oid, name, settings).await?;
        let entity = json!({"type": "output", "name": name});
        let detail = json!({"module": settings.get("module"), "for": settings.get("for")});
        let record = event::audit(oid, actor, "output set", &entity, "set_output", &detail, clock::now());
        // What an earlier output of this name left is not for a new one.
        let beside = Beside::from(record).and(is_new.then(|| forget_all(oid, name)));
        let reach = Reach::of(&self.records, oid, actor);
        reach.put::<_, Error>(OUTPUT, name, &settings, Expect::Any, beside).await?;
        self.restart(oid, &[name]);
        Ok(settings)
    }

    /// Deletes an output with all that waits for it; tells whether it was there.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn delete(&self, oid: Oid, name: &str, actor: &Actor) -> Result<bool, Error> {
        let reach = Reach::of(&self.records, oid, actor);
        if !self.records.has(oid, OUTPUT, name) || reach.sight(OUTPUT, name) == Sight::Nothing {
            return Ok(false);
        }
        let entity = json!({"type": "output", "name": name});
        let record = event::audit(oid, actor, "output deleted", &entity, "delete_output", &json!({}), clock::now());
        let beside = Beside::from(record).and([forget_all(oid, name)]);
        let was_there = reach.delete::<_, Error>(OUTPUT, name, beside).await?;
        self.restart(oid, &[name]);
        Ok(was_there)
    }

    /// All outputs of an organization, as far as somebody sees them: without their settings, if a key with the flair
    /// secret made them.
    #[must_use]
    pub fn list_seen(&self, oid: Oid, by: &Actor) -> BTreeMap<String, Map<String, Value>> {
        let reach = Reach::of(&self.records, oid, by);
        let mut all = self.list(oid);
        all.retain(|name, settings| {
            let sight = reach.sight(OUTPUT, name);
            if sight == Sight::Outline {
                settings.retain(|setting, _| OUTLINE.contains(&setting.as_str()));
            }
            sight != Sight::Nothing
        });
        all
    }

    /// The output at work of this name, if somebody sees its settings.
    #[must_use]
    pub fn seen(&self, oid: Oid, name: &str, by: &Actor) -> Option<Arc<Output>> {
        let is_seen = Reach::of(&self.records, oid, by).sight(OUTPUT, name) == Sight::Whole;
        self.outputs.find(oid, name).filter(|_| is_seen)
    }

    /// All outputs of an organization, as stored.
    #[must_use]
    pub fn list(&self, oid: Oid) -> BTreeMap<String, Map<String, Value>> {
        self.records.list(oid, OUTPUT).into_iter().collect()
    }

    /// Tells operators that an output is in trouble.
    async fn report(&self, oid: Oid, name: &str, text: &str) {
        crate::errors::report(&self.records, oid, &format!("outputs/{name}"), text).await;
    }
}
