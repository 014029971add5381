//! Live sessions, as the loop sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_live::{Act, Endpoint};
use muster_wire::{LiveEnded, LiveJoined, LiveOrder, LiveProgress, LiveReport, from_sensor, live_order, live_report};
use tokio::time::Instant;

use super::{Sensor, fresh_id};
use crate::live::{self, Job};
use crate::platform;

/// Sessions that are remembered: the one that is open, and those before it whose last words are not stored yet.
const SESSIONS_MAX: usize = 16;

/// The sessions of one run of the sensor.
pub(super) struct Sessions {
    /// Tells this run from others.
    instance: [u8; 16],
    begun: Instant,
    by_number: BTreeMap<u64, Endpoint>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { instance: fresh_id(), begun: Instant::now(), by_number: BTreeMap::new() }
    }
}

impl Sessions {
    /// The link was lost: who is not heard any more is left after a while.
    pub(super) fn lost(&mut self) {
        let now = self.begun.elapsed();
        self.by_number.values_mut().for_each(|endpoint| endpoint.lost(now));
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let earliest = self.by_number.values().filter_map(Endpoint::wakes_at).min()?;
        self.begun.checked_add(earliest)
    }

    /// The endpoint of a session; a new one when it is opened.
    fn of(&mut self, order: &LiveOrder) -> Option<&mut Endpoint> {
        if matches!(order.what, Some(live_order::What::Open(_))) && !self.by_number.contains_key(&order.session) {
            self.by_number.retain(|_, endpoint| !endpoint.is_over());
            while self.by_number.len() >= SESSIONS_MAX {
                self.by_number.pop_first();
            }
            self.by_number.insert(order.session, Endpoint::default());
        }
        self.by_number.get_mut(&order.session)
    }
}

impl Sensor<'_> {
    /// The server said something about a session.
    pub(super) fn live_order(&mut self, order: LiveOrder) {
        let (session, now) = (order.session, self.live.begun.elapsed());
        let Some(endpoint) = self.live.of(&order) else { return };
        let acts = order.what.map(|what| endpoint.hear(what, now)).unwrap_or_default();
        self.live_acts(session, acts);
    }

    /// A command of a session ended.
    pub(super) fn live_ended(&mut self, session: u64, ended: LiveEnded) {
        let now = self.live.begun.elapsed();
        let Some(endpoint) = self.live.by_number.get_mut(&session) else { return };
        let acts = endpoint.ended(ended, now);
        self.live_acts(session, acts);
    }

    /// Does what is due.
    pub(super) fn live_tick(&mut self) {
        let now = self.live.begun.elapsed();
        let ticked = |(session, endpoint): (&u64, &mut Endpoint)| (*session, endpoint.tick(now));
        let due: Vec<(u64, Vec<Act>)> = self.live.by_number.iter_mut().map(ticked).collect();
        due.into_iter().for_each(|(session, acts)| self.live_acts(session, acts));
    }

    /// A command of a session has come so far. Nobody misses it if there is no link.
    pub(super) fn live_progress(&mut self, session: u64, progress: LiveProgress) {
        let Some(endpoint) = self.live.by_number.get_mut(&session) else { return };
        let acts = endpoint.progressed(progress);
        self.live_acts(session, acts);
    }

    fn live_acts(&mut self, session: u64, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Join => {
                    let joined = self.live_joined();
                    self.live_say(session, live_report::What::Joined(joined));
                }
                Act::Say(what) => self.live_say(session, what),
                Act::Begin { command, order, timeout, file } => {
                    tracing::info!(session, command, name = order.name().text(), "a command of a live session begins");
                    let tools = Arc::clone(&self.tools);
                    self.running.begin_live(async move {
                        let to_sensor = tools.to_sensor.clone();
                        let ended = live::carry_out(Job { session, command, order, timeout, file, tools }).await;
                        // The sensor may be stopping; its server then takes the command for lost.
                        let _ = to_sensor.send(crate::executor::ToSensor::LiveEnded(session, ended)).await;
                    });
                }
            }
        }
    }

    fn live_joined(&self) -> LiveJoined {
        LiveJoined {
            instance: self.live.instance.to_vec(),
            working_directory: platform::live::working_directory(),
            drives: platform::live::drives(),
            commands: platform::live::commands().into_iter().map(|name| name.text().to_owned()).collect(),
            os_version: platform::live::os_version(),
        }
    }

    fn live_say(&mut self, session: u64, what: live_report::What) {
        if self.agent.is_connected() {
            self.say(from_sensor::Message::Live(LiveReport { session, what: Some(what) }));
        }
    }
}
