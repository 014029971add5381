//! Who wants to hear of which record.
//!
//! Compiled from registrations, subscriptions and what services said of themselves, so that the commit of records
//! has little to do. Detections go to those that named them, other records to those that have the callback.

use super::outbox::{Message, Outbox, Posted};
use crate::intake::{Committed, Enqueued, Queues, Record};
use crate::{clock, random};
use muster_model::Oid;
use muster_store::{Store, StoreError, Stream, Write};
use muster_webhook::service::Etype;
use parking_lot::RwLock;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Type of the deployment event that makes a sensor new. Source: reference/service-protocol.md section 6.2.
const ENROLLMENT: &str = "enrollment";

/// What one subscription wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) target: String,
    pub(super) detections: BTreeSet<String>,
    pub(super) callbacks: BTreeSet<String>,
}

/// What waits for services, and what every subscription wants to hear of.
pub struct Feed {
    /// What waits.
    pub(super) outbox: Arc<Outbox>,
    by_organization: RwLock<HashMap<Oid, Arc<[Interest]>>>,
}

impl Feed {
    /// What is stored, and no interests yet; and the same as the queues that the intake fills.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn load(store: &Store) -> Result<(Arc<Self>, Arc<dyn Queues>), StoreError> {
        let feed = Self { outbox: Arc::new(Outbox::load(store)?), by_organization: RwLock::default() };
        let feed = Arc::new(feed);
        Ok((Arc::clone(&feed), feed))
    }

    /// What the subscriptions of an organization want from now on.
    pub(super) fn set(&self, oid: Oid, interests: Vec<Interest>) {
        let mut all = self.by_organization.write();
        if interests.is_empty() {
            all.remove(&oid)
        } else {
            all.insert(oid, interests.into())
        };
    }
}

impl Queues for Feed {
    fn enqueue(&self, records: &[&Record]) -> Vec<Box<dyn Enqueued>> {
        let mut posted: Vec<Box<dyn Enqueued>> = Vec::new();
        for of_one in records.chunk_by(|one, next| one.oid == next.oid) {
            let Some(oid) = of_one.first().map(|record| record.oid) else { continue };
            let Some(interests) = self.by_organization.read().get(&oid).cloned() else { continue };
            let messages: Vec<Message> = of_one
                .iter()
                .flat_map(|record| interests.iter().flat_map(move |interest| interest.messages(record)))
                .collect();
            if !messages.is_empty() {
                posted.push(Box::new(self.outbox.put(oid, messages, clock::now())));
            }
        }
        posted
    }
}

impl Enqueued for Posted {
    fn write(&mut self) -> Write {
        self.stored()
    }

    fn wake(self: Box<Self>, _: &Committed<'_>) {
        self.deliver();
    }
}

impl Interest {
    fn messages(&self, record: &Record) -> Vec<Message> {
        let message = |etype: Etype, body: Vec<u8>| Message {
            target: self.target.clone(),
            kind: etype.to_string(),
            id: random::uuid(),
            body,
            delay: Duration::ZERO,
        };
        let has = |etype: Etype| self.callbacks.contains(&etype.to_string());
        let mut messages = Vec::new();
        match record.stream {
            Stream::Detect if self.detections.contains(&*record.kind) => {
                messages.push(message(Etype::Detection, record.body.to_vec()));
            }
            Stream::Deployment => {
                if has(Etype::DeploymentEvent) {
                    messages.push(message(Etype::DeploymentEvent, record.body.to_vec()));
                }
                if *record.kind == *ENROLLMENT && has(Etype::NewSensor) {
                    messages.extend(new_sensor(record).map(|body| message(Etype::NewSensor, body)));
                }
            }
            Stream::Artifact if has(Etype::LogEvent) => messages.push(message(Etype::LogEvent, record.body.to_vec())),
            _ => {}
        }
        messages
    }
}

/// The older event of a new sensor. Source: reference/service-protocol.md section 6.5.
fn new_sensor(record: &Record) -> Option<Vec<u8>> {
    let whole: Value = serde_json::from_slice(&record.body).ok()?;
    let routing = whole.get("routing")?;
    let part = |name: &str| routing.get(name).cloned().unwrap_or_default();
    let data = json!({
        "sid": part("sid"), "hostname": part("hostname"), "ext_ip": part("ext_ip"), "int_ip": part("int_ip"),
        "plat": part("plat"), "arch": part("arch"),
    });
    serde_json::to_vec(&data).ok()
}
