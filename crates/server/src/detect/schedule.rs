//! Periodic events, which rules with the target `schedule` see and nobody keeps.
//!
//! Every sensor and every organization has its own phase, made of its id, so that the events of a fleet are
//! spread over the period. What fell due while the server was down comes once when it is up again. How far they
//! were evaluated is remembered in the last commit of a look: if the server is killed amid a look, the events of
//! that look may come again.
//!
//! Source: reference/detection-response.md section 2.5, reference/events.md section 9.

use super::{Detect, evaluate};
use crate::clock;
use crate::intake::Record;
use crate::intake::event;
use crate::organization::Organization;
use crate::records::Kind;
use muster_model::{Oid, Timestamp};
use muster_rules::Target;
use muster_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Periods in seconds, with the names of their events.
const FREQUENCIES: [(i64, &str, &str); 7] = [
    (1_800, "30m_per_org", "30m_per_sensor"),
    (3_600, "1h_per_org", "1h_per_sensor"),
    (10_800, "3h_per_org", "3h_per_sensor"),
    (21_600, "6h_per_org", "6h_per_sensor"),
    (43_200, "12h_per_org", "12h_per_sensor"),
    (86_400, "24h_per_org", "24h_per_sensor"),
    (604_800, "168h_per_org", "168h_per_sensor"),
];

/// Only organizations with a sensor that was online this lately have periodic events.
const ORGANIZATION_ALIVE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Only sensors that were online this lately have periodic events.
const SENSOR_ALIVE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Sensors that are looked at while the organization is locked, and whose events are evaluated at once.
const CHUNK: usize = 4_096;

/// Through which second the periodic events of an organization were evaluated.
const THROUGH: Kind<i64> = Kind::new("schedule");
const THROUGH_KEY: &str = "through";

/// Goes on where the periodic events of an organization were when its last owner ended.
pub(super) fn resume(detect: &Detect, oid: Oid) {
    if let Some(second) = detect.records.get(oid, THROUGH, THROUGH_KEY) {
        detect.detectors.through.lock().insert(oid, second);
    }
}

/// Evaluates what falls due, until dropped.
pub async fn run(detect: Arc<Detect>) {
    let mut ticker = tokio::time::interval(LOOK_EVERY);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticker.tick().await;
        let now = clock::now();
        let listening = detect.detectors.all_listening(Target::Schedule);
        detect.detectors.through.lock().retain(|oid, _| listening.contains(oid));
        for oid in listening {
            let Some(organization) = detect.organizations.get(oid) else { continue };
            // Rules that are new wait for what falls due from now on.
            let from = *detect.detectors.through.lock().entry(oid).or_insert_with(|| now.as_secs());
            match tick(&detect, &organization, from, now).await {
                Ok(()) => _ = detect.detectors.through.lock().insert(oid, now.as_secs()),
                Err(error) => tracing::warn!(%oid, %error, "what rules made of periodic events could not be stored"),
            }
        }
    }
}

/// Evaluates the periodic events of one organization that fell due after second `from`, up to `now`.
///
/// # Errors
///
/// Whatever the store says; nothing was done then that cannot be repeated.
pub async fn tick(
    detect: &Arc<Detect>,
    organization: &Arc<Organization>,
    from: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ordinals: Vec<u32> = organization.state.lock().fleet.live().iter().collect();
    let mut is_alive = false;
    for chunk in ordinals.chunks(CHUNK) {
        let records = due(organization, chunk, from, now, &mut is_alive);
        if !records.is_empty() {
            evaluate(detect, organization.oid, Target::Schedule, records, Vec::new()).await?;
        }
    }
    let (oid, mut records) = (organization.oid, Vec::new());
    if is_alive {
        let ended = ended(oid.0.as_u128(), from, now.as_secs());
        records.extend(ended.map(|(period, name, _)| event::organization_tick(oid, name, *period, now)));
    }
    let through = THROUGH.write(oid, THROUGH_KEY, now.as_secs().to_string());
    evaluate(detect, oid, Target::Schedule, records, vec![through]).await
}

/// The periods that end for an id after `from`, up to `through`; each at most once.
fn ended(id: u128, from: i64, through: i64) -> impl Iterator<Item = &'static (i64, &'static str, &'static str)> {
    FREQUENCIES.iter().filter(move |(period, _, _)| {
        let phase = i64::try_from(id % u128::from(period.unsigned_abs())).unwrap_or(0);
        through.saturating_add(phase).div_euclid(*period) > from.saturating_add(phase).div_euclid(*period)
    })
}

/// The periodic events of some sensors; tells whether one of them makes its organization alive.
fn due(organization: &Organization, ordinals: &[u32], from: i64, now: Timestamp, is_alive: &mut bool) -> Vec<Record> {
    let (through, state, mut records) = (now.as_secs(), organization.state.lock(), Vec::new());
    for ordinal in ordinals {
        let Some(row) = state.fleet.row(*ordinal) else { continue };
        let sensor = &row.sensor;
        let since_s = if state.is_online(*ordinal) { 0 } else { through.saturating_sub(sensor.alive_at.as_secs()) };
        let is_within = |span: Duration| since_s <= i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        *is_alive |= is_within(ORGANIZATION_ALIVE);
        if is_within(SENSOR_ALIVE) {
            let ended = ended(sensor.sid.0.as_u128(), from, through);
            records.extend(ended.map(|(period, _, name)| event::sensor_tick(sensor, name, *period, now)));
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_period_ends_once_in_itself_and_ids_are_spread() {
        let start = 1_800_000_000;
        for id in [0, 7, u128::MAX, 0x1a2b_3c4d] {
            for (period, name, _) in FREQUENCIES {
                let steps = (0..period / 600).map(|step| start + step * 600);
                let count =
                    steps.filter(|from| ended(id, *from, from + 600).any(|(_, other, _)| *other == name)).count();
                assert_eq!(count, 1, "{name} of {id}");
            }
            let down_for_long = ended(id, start, start + 10 * 604_800).count();
            assert_eq!(down_for_long, FREQUENCIES.len(), "what was missed comes once");
            assert_eq!(ended(id, start, start).count(), 0);
        }
        let at_once =
            (0..1_800_u128).filter(|id| ended(*id, start, start + 30).any(|(period, _, _)| *period == 1_800)).count();
        assert_eq!(at_once, 30);
    }
}
