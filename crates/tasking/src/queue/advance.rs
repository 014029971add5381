//! How one target goes on after a report of its sensor.

use super::Report;
use crate::TargetState;
use crate::target::Target;
use muster_model::Timestamp;

/// A target that ends for this reason.
pub(super) fn ended(known: Target, state: TargetState, now: Timestamp, reason: &str) -> Target {
    Target { state, ended_at: now, error: Some(reason.into()), ..known }
}

/// Why a target is [`TargetState::Doubled`].
const DOUBLED: &str =
    "doubled by a clone: it began more than once, since more than one machine has the identity of this sensor";

/// The next target after a report; `None` if the report tells nothing new.
pub(super) fn advance(known: &Target, report: &Report) -> Option<Target> {
    // A sensor tells the instant that it journalled, however often it tells it: another one is another beginning.
    let begins_again = report.state == TargetState::Started && known.began() && report.at != known.started_at;
    if begins_again && known.state != TargetState::Doubled {
        let error = Some(DOUBLED.into());
        return Some(Target { state: TargetState::Doubled, ended_at: report.at, error, ..known.clone() });
    }
    if (known.state, report.state) == (TargetState::Sent, TargetState::Sent) && known.error != report.error {
        // The sensor has no room for it; the next attempt may find some.
        return Some(Target { error: report.error.clone(), ..known.clone() });
    }
    let overrides = known.state.is_final()
        && known.attempts > 0
        && matches!(known.state, TargetState::Expired | TargetState::Removed)
        && !matches!(report.state, TargetState::Expired | TargetState::Removed);
    if !overrides && (known.state.is_final() || report.state <= known.state) {
        return None;
    }
    let mut target = Target { state: report.state, error: None, ended_at: Timestamp::ZERO, ..known.clone() };
    match report.state {
        TargetState::Queued | TargetState::Sent => return None,
        TargetState::Confirmed => target.confirmed_at = report.at,
        TargetState::Started => target.started_at = report.at,
        _ => {
            target.ended_at = report.at;
            target.code = report.code;
            target.error.clone_from(&report.error);
        }
    }
    Some(target)
}
