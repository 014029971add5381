//! Sensors as the server sees them: a spool of numbered events, and links that come and go.

use muster_model::{Architecture, Iid, Oid, Platform, Sensor, Sid, Timestamp};
use muster_server::Server;
use muster_server::app::App;
use muster_server::gateway::receive_events;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_server::random;
use muster_server::sensor::went_online;
use muster_sim::rng::Rng;
use muster_store::SensorRow;
use muster_wire::{Event, Events, SensorState, from_server};
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Kinds of events, as the rules know them.
const KINDS: [&str; 8] = ["A", "B", "T", "R", "F", "W", "T", "B"];

/// Id of the first sensor.
const FIRST_SID: u128 = 0x5e00;

/// The number of a sensor.
pub fn ordinal_of(sid: Sid) -> u32 {
    u32::try_from(sid.0.as_u128() - FIRST_SID).unwrap()
}

/// One event of a spool.
#[derive(Clone)]
pub struct Spooled {
    pub kind: &'static str,
    /// A number that the rule `recall` compares with.
    pub refers_to: u64,
}

/// A link, and the number of the last event that the server has stored.
type Connected = (Arc<Link>, u64);

/// A sensor without a process.
pub struct Endpoint {
    pub ordinal: u32,
    pub sid: Sid,
    pub spool: Vec<Spooled>,
    /// All events of a run have the same time, so that the store keeps them in the order in which they came.
    pub at: Timestamp,
    /// Events that the server has acknowledged, as far as the sensor knows.
    pub acknowledged: u64,
    /// Direct tasks that reached it: task and investigation id, in order.
    pub delivered: Vec<(Vec<u8>, String)>,
    link: Option<Arc<Link>>,
    links: Vec<Arc<Link>>,
    connecting: Option<JoinHandle<Option<Connected>>>,
    receiving: Vec<(u64, JoinHandle<()>)>,
}

impl Endpoint {
    pub fn new(ordinal: u32, at: Timestamp, rng: &mut Rng) -> Self {
        let events = 6 + rng.draw() % 16;
        let event = |number: u64| Spooled {
            kind: KINDS[(rng.draw() % KINDS.len() as u64) as usize],
            refers_to: rng.draw() % number.max(1),
        };
        Self {
            ordinal,
            sid: Sid(Uuid::from_u128(FIRST_SID + u128::from(ordinal))),
            spool: (1..=events).map(event).collect(),
            at,
            acknowledged: 0,
            delivered: Vec::new(),
            link: None,
            links: Vec::new(),
            connecting: None,
            receiving: Vec::new(),
        }
    }

    fn spool_id(&self) -> [u8; 16] {
        [self.ordinal.to_le_bytes()[0] + 1; 16]
    }

    pub fn is_done(&self) -> bool {
        self.acknowledged == self.spool.len() as u64
    }

    /// The server process is gone, and with it everything under way.
    pub fn cut(&mut self) {
        self.hear();
        (self.link, self.connecting) = (None, None);
        self.links.clear();
        self.receiving.clear();
    }

    fn place(&self, app: &App, oid: Oid) -> Place {
        Place { organization: app.organization(oid).unwrap(), ordinal: self.ordinal }
    }

    /// Connects anew. An earlier link may still be at work in the server.
    pub fn connect(&mut self, app: &Arc<App>, oid: Oid) {
        if self.connecting.is_some() {
            return;
        }
        let (app, place, spool_id) = (Arc::clone(app), self.place(app, oid), self.spool_id().to_vec());
        self.connecting = Some(tokio::spawn(async move {
            let link = Arc::new(Link::new(random::number()));
            let state =
                SensorState { spool_id, journal_id: vec![1; 16], hostname: "host".into(), ..SensorState::default() };
            let seen = went_online(&app.sensors, &place, &link, &state, None).await.ok()?;
            Some((link, seen.spool_seq))
        }));
    }

    /// Sends the next events on the current link, some of them again; tells whether any was sent before.
    pub fn send(&mut self, server: &Server, oid: Oid, rng: &mut Rng) -> bool {
        let Some(link) = self.link.clone().filter(|link| !link.is_closed()) else { return false };
        if self.receiving.iter().any(|(generation, _)| *generation == link.generation) || self.is_done() {
            return false;
        }
        let again = if rng.draw().is_multiple_of(2) { 1 + rng.draw() % 3 } else { 0 };
        let from = self.acknowledged.saturating_sub(again);
        let to = (self.acknowledged + 1 + rng.draw() % 4).min(self.spool.len() as u64);
        let events = Events { events: (from + 1..=to).map(|seq| self.event(seq)).collect() };
        let (owner, place, shared) = (Arc::clone(&server.owner), self.place(&server.app, oid), Arc::clone(&link));
        let receive = async move { receive_events(&owner, &place, &shared, events).await };
        self.receiving.push((link.generation, tokio::spawn(receive)));
        from < self.acknowledged
    }

    fn event(&self, seq: u64) -> Event {
        let Spooled { kind, refers_to } = &self.spool[seq as usize - 1];
        let body = json!({"N": seq, "KIND": kind, "REF": refers_to.to_string(), "TEXT": "ab".repeat(200)});
        Event {
            seq,
            event_type: "TEST".into(),
            time_ms: self.at.as_millis(),
            body: body.to_string().into_bytes(),
            ..Event::default()
        }
    }

    /// Takes in what the server has to say; leaves a link that was closed.
    pub fn hear(&mut self) {
        for link in &self.links {
            for message in link.take() {
                match message.message {
                    Some(from_server::Message::EventsAck(ack)) => self.acknowledged = self.acknowledged.max(ack.seq),
                    Some(from_server::Message::Deliver(deliver)) if !deliver.wants_receipts => {
                        self.delivered.push((deliver.task_id, deliver.investigation_id));
                    }
                    _ => {}
                }
            }
        }
        self.link = self.link.take().filter(|link| !link.is_closed());
        self.receiving.retain(|(_, receiving)| !receiving.is_finished());
    }

    /// Ends what is finished; connects if there is no link and none is on its way.
    pub async fn settle(&mut self) {
        if self.connecting.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(connecting) = self.connecting.take()
            && let Ok(Some((link, stored))) = connecting.await
        {
            self.acknowledged = self.acknowledged.max(stored);
            self.links.push(Arc::clone(&link));
            self.link = Some(link);
        }
        self.hear();
    }

    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }
}

/// The stored record of a sensor.
pub fn row(endpoint: &Endpoint, oid: Oid) -> SensorRow {
    let (iid, at) = (Iid(Uuid::from_u128(9)), endpoint.at);
    let mut sensor = Sensor::enrolled(endpoint.sid, oid, iid, Platform::LINUX, Architecture::X64, at);
    sensor.hostname = "host".into();
    SensorRow {
        journal_id: vec![1; 16],
        boot_id: "boot".into(),
        ..SensorRow::enrolled(endpoint.ordinal, sensor, &[7; 32])
    }
}
