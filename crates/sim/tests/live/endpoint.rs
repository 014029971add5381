//! A sensor without a process: the real end of its sessions, and a link that comes and goes.

use muster_live::{Act, Endpoint};
use muster_model::{Architecture, Iid, Oid, Platform, Sensor, Sid, Timestamp};
use muster_server::app::App;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_server::random;
use muster_server::sensor::{went_offline, went_online};
use muster_store::SensorRow;
use muster_wire::{LiveEnded, LiveJoined, LiveOrder, LiveReport, SensorState, from_server, live_order, live_report};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Id of the first sensor.
const FIRST_SID: u128 = 0x11fe;

/// Longer than a sensor waits before it says of a command that it runs.
const MOMENT: Duration = Duration::from_millis(30);

/// A command: the number of its session, and its own.
pub type Which = (u64, u32);

#[derive(Default)]
pub struct Machine {
    pub ordinal: u32,
    /// Counts its runs.
    pub instance: u8,
    /// Its own clock.
    now: Duration,
    sessions: BTreeMap<u64, Endpoint>,
    link: Option<Arc<Link>>,
    connecting: Option<JoinHandle<Option<Arc<Link>>>>,
    telling: Option<JoinHandle<()>>,
    leaving: Vec<JoinHandle<()>>,
    to_server: VecDeque<LiveReport>,
    running: Vec<Which>,
    /// Times that each command had its effect.
    pub begun: BTreeMap<Which, u32>,
    /// Ends that this run has reached.
    pub ended: BTreeSet<Which>,
    /// Ends that the server said are stored.
    pub stored: BTreeSet<Which>,
    /// What must never be.
    pub faults: Vec<String>,
}

impl Machine {
    pub fn new(ordinal: u32) -> Self {
        Self { ordinal, ..Self::default() }
    }

    pub fn row(&self, oid: Oid, at: Timestamp) -> SensorRow {
        let (sid, iid) = (Sid(Uuid::from_u128(FIRST_SID + u128::from(self.ordinal))), Iid(Uuid::from_u128(9)));
        let sensor = Sensor::enrolled(sid, oid, iid, Platform::LINUX, Architecture::X64, at);
        let boot_id = "boot".into();
        SensorRow { journal_id: vec![1; 16], boot_id, ..SensorRow::enrolled(self.ordinal, sensor, &[7; 32]) }
    }

    pub fn place(&self, app: &App, oid: Oid) -> Place {
        Place { organization: app.organization(oid).unwrap(), ordinal: self.ordinal }
    }

    pub const fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// Nothing is left to say, and nothing runs.
    pub fn is_quiet(&self) -> bool {
        let is_idle = self.to_server.is_empty() && self.running.is_empty() && self.leaving.is_empty();
        is_idle && self.telling.is_none() && self.connecting.is_none()
    }

    pub fn connect(&mut self, app: &Arc<App>, oid: Oid) {
        if self.link.is_some() || self.connecting.is_some() {
            return;
        }
        let (app, place, spool) = (Arc::clone(app), self.place(app, oid), self.ordinal.to_le_bytes()[0] + 1);
        self.connecting = Some(tokio::spawn(async move {
            let link = Arc::new(Link::new(random::number()));
            let state = SensorState {
                spool_id: vec![spool; 16],
                journal_id: vec![1; 16],
                hostname: "host".into(),
                ..SensorState::default()
            };
            went_online(&app.sensors, &place, &link, &state, None).await.ok()?;
            app.live.arrived(&place);
            Some(link)
        }));
    }

    /// The link breaks; what was under way on it is gone.
    pub fn cut(&mut self, app: &Arc<App>, oid: Oid) {
        let Some(link) = self.link.take() else { return };
        self.to_server.clear();
        let (app, place) = (Arc::clone(app), self.place(app, oid));
        self.leaving.push(tokio::spawn(async move {
            went_offline(&app.sensors, &place, &link).await;
            app.live.lost(&place).await;
        }));
        self.sessions.values_mut().for_each(|endpoint| endpoint.lost(self.now));
    }

    /// The server is gone, and with it everything under way.
    pub fn forget_server(&mut self) {
        (self.link, self.connecting, self.telling) = (None, None, None);
        self.leaving.clear();
        self.to_server.clear();
        self.sessions.values_mut().for_each(|endpoint| endpoint.lost(self.now));
    }

    /// The sensor dies, and is started anew.
    pub fn die(&mut self) {
        self.sessions.clear();
        self.running.clear();
        self.ended.clear();
        self.to_server.clear();
        self.instance += 1;
    }

    /// Takes what has come of what was begun.
    pub async fn settle(&mut self) {
        if self.connecting.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(connecting) = self.connecting.take()
        {
            self.link = connecting.await.ok().flatten();
        }
        if self.telling.as_ref().is_some_and(JoinHandle::is_finished) {
            self.telling = None;
        }
        self.leaving.retain(|leaving| !leaving.is_finished());
    }

    /// Hears all that the server has said.
    pub fn hear(&mut self) -> usize {
        let Some(link) = &self.link else { return 0 };
        let said = link.take();
        let count = said.len();
        for message in said {
            if let Some(from_server::Message::Live(order)) = message.message {
                self.take(order);
            }
        }
        count
    }

    fn take(&mut self, order: LiveOrder) {
        let (session, Some(what)) = (order.session, order.what) else { return };
        if let live_order::What::Stored(command) = what {
            self.stored.insert((session, command));
        }
        if matches!(what, live_order::What::Open(_)) {
            self.sessions.entry(session).or_default();
        }
        if let Some(endpoint) = self.sessions.get_mut(&session) {
            let acts = endpoint.hear(what, self.now);
            self.act(session, acts);
        }
    }

    fn act(&mut self, session: u64, acts: Vec<Act>) {
        for act in acts {
            let what = match act {
                Act::Join => live_report::What::Joined(LiveJoined {
                    instance: vec![self.instance],
                    commands: vec!["process list".into(), "create process".into()],
                    ..LiveJoined::default()
                }),
                Act::Say(what) => what,
                Act::Begin { command, .. } => {
                    let times = self.begun.entry((session, command)).or_default();
                    *times += 1;
                    if *times > 1 {
                        self.faults.push(format!("command {command} of session {session} had its effect twice"));
                    }
                    if self.sessions.get(&session).is_none_or(Endpoint::is_closed) {
                        self.faults.push(format!("command {command} began after session {session} was closed"));
                    }
                    self.running.push((session, command));
                    continue;
                }
            };
            if self.link.is_some() {
                self.to_server.push_back(LiveReport { session, what: Some(what) });
            }
        }
    }

    /// A moment goes by.
    pub fn tick(&mut self) {
        self.now += MOMENT;
        let ticked = |(session, endpoint): (&u64, &mut Endpoint)| (*session, endpoint.tick(self.now));
        let due: Vec<(u64, Vec<Act>)> = self.sessions.iter_mut().map(ticked).collect();
        due.into_iter().for_each(|(session, acts)| self.act(session, acts));
    }

    /// Something that runs ends.
    pub fn finish(&mut self, draw: u64) {
        if self.running.is_empty() {
            return;
        }
        let at = usize::try_from(draw % self.running.len() as u64).unwrap_or(0);
        let (session, command) = self.running.remove(at);
        self.ended.insert((session, command));
        if let Some(endpoint) = self.sessions.get_mut(&session) {
            let acts = endpoint.ended(LiveEnded { command, ..LiveEnded::default() }, self.now);
            self.act(session, acts);
        }
    }

    /// Tells the server the next thing, once it has taken the one before.
    pub fn tell(&mut self, app: &Arc<App>, oid: Oid) -> bool {
        if self.telling.is_some() || self.link.is_none() {
            return false;
        }
        let Some(report) = self.to_server.pop_front() else { return false };
        let (app, place) = (Arc::clone(app), self.place(app, oid));
        self.telling = Some(tokio::spawn(async move { app.live.heard(&place, report).await }));
        true
    }
}
