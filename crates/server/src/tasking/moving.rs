//! Which files a sensor may ask for: those that the tasks which it has move, and no others.

use crate::organization::Place;
use muster_command::Command;
use muster_model::{Oid, Timestamp};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// A direct task may move its files for so long beside the time that its command line gives it: as long as a sensor lets
/// a transfer take.
const DIRECT_MAX: Duration = Duration::from_secs(3_600);

/// Direct tasks that move files and are remembered, per sensor: more than a sensor begins within a minute.
const DIRECT_TASKS_MAX: usize = 256;

/// A file that a sensor wants to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved<'a> {
    /// The payload of this name, to the endpoint.
    Payload(&'a str),
    /// An artifact, from it.
    Artifact,
}

fn moves(command: &Command, moved: Moved<'_>) -> bool {
    match moved {
        Moved::Payload(name) => command.payloads().any(|payload| payload == name),
        Moved::Artifact => command.uploads(),
    }
}

/// Sensors with such tasks that are kept before it is looked for the first time whose time is over.
const SWEEP_MIN: usize = 1_024;

/// The direct tasks of one sensor, the oldest first, with until when each may move files.
type Sent = VecDeque<(Instant, Command)>;

/// Direct tasks that move files, by sensor. A server that was started anew has forgotten them, as it has their answers'
/// askers.
#[derive(Default)]
pub(crate) struct DirectTasks(Mutex<BySensor>);

#[derive(Default)]
struct BySensor {
    tasks: HashMap<(Oid, u32), Sent>,
    /// How many sensors were left by the last sweep.
    swept: usize,
}

impl BySensor {
    /// Forgets tasks whose time is over. It looks at all sensors, so only when they have doubled since: a task to a whole
    /// fleet must not look at the whole fleet for each sensor.
    fn sweep(&mut self, now: Instant) {
        if self.tasks.len() < SWEEP_MIN.max(self.swept.saturating_mul(2)) {
            return;
        }
        self.tasks.retain(|_, tasks| {
            tasks.retain(|(until, _)| now < *until);
            !tasks.is_empty()
        });
        self.swept = self.tasks.len();
    }
}

impl DirectTasks {
    /// A sensor was sent this.
    pub(super) fn sent(&self, place: &Place, command: Command) {
        if !command.uploads() && command.payloads().next().is_none() {
            return;
        }
        let own = command.all().filter_map(|command| command.arguments.number("timeout"));
        let own = own.map(i64::unsigned_abs).fold(0, u64::saturating_add);
        let now = Instant::now();
        let Some(until) = now.checked_add(DIRECT_MAX + Duration::from_secs(own)) else { return };
        let mut all = self.0.lock();
        all.sweep(now);
        let tasks = all.tasks.entry((place.organization.oid, place.ordinal)).or_default();
        if tasks.len() >= DIRECT_TASKS_MAX {
            tasks.pop_front();
        }
        tasks.push_back((until, command));
    }

    fn any_moves(&self, place: &Place, moved: Moved<'_>) -> bool {
        let (now, all) = (Instant::now(), self.0.lock());
        let tasks = all.tasks.get(&(place.organization.oid, place.ordinal));
        tasks.into_iter().flatten().any(|(until, command)| now < *until && moves(command, moved))
    }
}

/// Whether a task that the sensor has, or is to get, moves this file.
pub(crate) fn may_move(direct: &DirectTasks, place: &Place, moved: Moved<'_>, now: Timestamp) -> bool {
    let line_moves = |line: &str| Command::parse(line).is_ok_and(|command| moves(&command, moved));
    let is_held = {
        let state = place.organization.state.lock();
        let held = state.queue.held(place.ordinal).any(|task| line_moves(&task.spec.command));
        // What it confirmed may not be stored yet.
        held || state.queue.owed(place.ordinal, now).iter().any(|task| line_moves(&task.spec.command))
    };
    is_held || direct.any_moves(place, moved)
}
