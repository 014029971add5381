//! What becomes of a message after a try: forgotten, tried again after a pause, or given up. Pure: the store, the
//! clock and chance are the caller's.

use super::ERROR_REPORT;
use super::program::Protocol;
use muster_model::{Oid, Timestamp};
use muster_store::{Delivery, Tries, Write};
use muster_webhook::extension::{SUBSCRIBE, UNSUBSCRIBE, UPDATE};
use muster_webhook::service::{Etype, Per};
use std::time::Duration;

/// A message that has waited for so long is not tried again.
const WAITED_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How often one message is tried, and the pauses between tries: at first, and at most after doubling.
pub struct Patience {
    /// Tries of one message.
    pub tries_max: u32,
    pause_min: Duration,
    pause_max: Duration,
}

/// Source: reference/service-protocol.md section 5.
const WITH_SERVICES: Patience =
    Patience { tries_max: 5, pause_min: Duration::from_secs(5), pause_max: Duration::from_secs(5 * 60) };

/// Source: reference/extension-protocol.md section 5.3.
const WITH_EXTENSIONS: Patience =
    Patience { tries_max: 3, pause_min: Duration::from_secs(1), pause_max: Duration::from_secs(15) };

/// What came of a try.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done, or nobody wants to hear it.
    Done,
    /// The same, of a message that told of the end of a subscription.
    Ended,
    /// It could not be tried, and cannot before this instant.
    Later(Timestamp),
    /// It did not succeed, for this reason; it may another time.
    Again(String),
    /// It never will, for this reason.
    Failed(String),
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is forgotten.
    Forgotten,
    /// It is forgotten, and with it the identity of the subscription of whose end it told.
    Ended,
    /// It is tried again after this instant, as if nothing had been. Not stored: at worst it is tried earlier after a
    /// restart.
    Postponed(Timestamp),
    /// It is tried again.
    Retried(Tries),
    /// It is kept, to be looked at and to be delivered again if somebody wants that.
    Kept(Tries),
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenUp {
    /// After so many tries.
    pub made: u32,
    /// Why.
    pub error: String,
}

/// What stores the fates of messages by their positions, but for the identity of a subscription.
#[must_use]
pub fn writes<'a>(oid: Oid, fates: impl IntoIterator<Item = (u64, &'a Fate)>) -> Vec<Write> {
    let (mut positions, mut tries) = (Vec::new(), Vec::new());
    for (position, fate) in fates {
        match fate {
            Fate::Forgotten | Fate::Ended => positions.push(position),
            Fate::Postponed(_) => {}
            Fate::Retried(of) | Fate::Kept(of) => tries.push((position, of.clone())),
        }
    }
    // The store takes out runs of them at once.
    positions.sort_unstable();
    let gone = (!positions.is_empty()).then_some(Write::DeleteDeliveries { oid, positions });
    let tried = (!tries.is_empty()).then_some(Write::PutTries { oid, tries });
    gone.into_iter().chain(tried).collect()
}

/// Decides what becomes of a message, and tells whether it was given up.
#[must_use]
pub fn fate(
    delivery: &Delivery,
    patience: &Patience,
    outcome: Outcome,
    now: Timestamp,
    random: u64,
) -> (Fate, Option<GivenUp>) {
    let made = delivery.tries.made.saturating_add(1);
    let (error, is_last) = match outcome {
        Outcome::Done => return (Fate::Forgotten, None),
        Outcome::Ended => return (Fate::Ended, None),
        Outcome::Later(due) => return (Fate::Postponed(due), None),
        Outcome::Again(error) => (error, made >= patience.tries_max || is_too_old(delivery.at, now)),
        Outcome::Failed(error) => (error, true),
    };
    let due = now.saturating_add(patience.pause(made, random));
    if !is_last && !is_overtaken(&delivery.kind, delivery.at, due) {
        return (Fate::Retried(Tries { made, due, is_dead: false, error }), None);
    }
    let fate = if is_farewell(&delivery.kind) {
        Fate::Ended
    } else if is_passing(&delivery.kind) {
        Fate::Forgotten
    } else {
        Fate::Kept(Tries { made, due: now, is_dead: true, error: error.clone() })
    };
    (fate, Some(GivenUp { made, error }))
}

/// Whether a message has waited for so long that it is not tried again.
#[must_use]
pub fn is_too_old(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) >= WAITED_MAX
}

/// Whether a message tells of the end of a subscription.
#[must_use]
pub fn is_farewell(kind: &str) -> bool {
    kind == UNSUBSCRIBE || Etype::parse(kind) == Some(Etype::OrgUninstall)
}

/// Whether a message tells of the beginning or the end of a subscription: whoever hears the two the wrong way round
/// takes an organization for one that it is not.
#[must_use]
pub fn is_turn(kind: &str) -> bool {
    kind == SUBSCRIBE || Etype::parse(kind) == Some(Etype::OrgInstall) || is_farewell(kind)
}

/// Whether a program hears a message of this kind: after the end of its subscription, of that alone. `is_ending` is
/// that of the subscription, if there is one.
#[must_use]
pub fn is_heard(kind: &str, is_ending: Option<bool>) -> bool {
    is_ending.is_some_and(|is_ending| !is_ending || is_farewell(kind))
}

/// Whether nobody needs a message later: the next one comes by itself, or it is about an error.
fn is_passing(kind: &str) -> bool {
    [UPDATE, ERROR_REPORT].contains(&kind) || matches!(Etype::parse(kind), Some(Etype::Every(..) | Etype::ServiceError))
}

/// Whether the next event of the same kind comes before this one would be tried again, or it is not tried again.
fn is_overtaken(kind: &str, at: Timestamp, due: Timestamp) -> bool {
    match Etype::parse(kind) {
        Some(Etype::Every(period, Per::Organization | Per::Service | Per::Sensor)) => {
            due.since(at) >= Duration::from_secs(period.seconds())
        }
        Some(Etype::ServiceError) => true,
        _ => kind == ERROR_REPORT,
    }
}

impl Patience {
    /// With programs that understand this.
    #[must_use]
    pub const fn with(protocol: Protocol) -> &'static Self {
        match protocol {
            Protocol::Service => &WITH_SERVICES,
            Protocol::Extension => &WITH_EXTENSIONS,
        }
    }

    /// How long a message waits after so many tries: it doubles, and varies by a fifth, so that what failed together does
    /// not come back together.
    pub(super) fn pause(&self, made: u32, random: u64) -> Duration {
        let doubled = self.pause_min.saturating_mul(2_u32.saturating_pow(made.saturating_sub(1))).min(self.pause_max);
        let parts_per_thousand = 800 + u32::try_from(random % 401).unwrap_or(0);
        doubled * parts_per_thousand / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::super::REQUEST;
    use super::*;
    use muster_webhook::service::Period;

    #[test]
    fn pauses_double_up_to_a_bound_and_vary_by_a_fifth() {
        let seconds = |made: u32, random: u64| WITH_SERVICES.pause(made, random).as_secs_f64();
        assert_eq!((seconds(1, 200), seconds(2, 200), seconds(3, 200)), (5.0, 10.0, 20.0));
        assert_eq!((seconds(1, 0), seconds(1, 400), seconds(1, 401)), (4.0, 6.0, 4.0));
        assert_eq!((seconds(20, 200), seconds(u32::MAX, 400)), (300.0, 360.0));
        let of_extensions: Vec<f64> = (1..=6).map(|made| WITH_EXTENSIONS.pause(made, 200).as_secs_f64()).collect();
        assert_eq!(of_extensions, [1.0, 2.0, 4.0, 8.0, 15.0, 15.0], "checklist 19.1.12");
    }

    #[test]
    fn a_periodic_event_is_not_tried_after_the_next_one_is_due() {
        let at = Timestamp::from_secs(1_000);
        let hourly = Etype::Every(Period::Hour1, Per::Sensor).to_string();
        assert!(!is_overtaken(&hourly, at, Timestamp::from_secs(1_000 + 3_599)));
        assert!(is_overtaken(&hourly, at, Timestamp::from_secs(1_000 + 3_600)));
        assert!(!is_overtaken("detection", at, Timestamp::MAX) && !is_overtaken(REQUEST, at, Timestamp::MAX));
        assert!(is_overtaken("service_error", at, at), "an error about an error helps nobody");
        assert!(is_overtaken(ERROR_REPORT, at, at));
    }

    #[test]
    fn after_the_end_of_a_subscription_a_program_hears_of_that_alone() {
        for (kind, heard) in [("detection", [true, false, false]), ("org_uninstall", [true, true, false])] {
            assert_eq!([Some(false), Some(true), None].map(|is_ending| is_heard(kind, is_ending)), heard, "{kind}");
        }
        assert!(is_heard(UNSUBSCRIBE, Some(true)));
    }

    #[test]
    fn what_is_given_up_is_kept_unless_nobody_needs_it_later() {
        let at = Timestamp::from_secs(1_000);
        let delivery = |kind: &str, made: u32| Delivery {
            position: 1,
            target: "service/a".into(),
            id: uuid::Uuid::nil(),
            kind: kind.into(),
            at,
            bytes: 2,
            tries: Tries { made, ..Tries::default() },
        };
        let of = |kind: &str, made: u32, now: Timestamp| {
            let patience = Patience::with(Protocol::Service);
            fate(&delivery(kind, made), patience, Outcome::Again("away".into()), now, 200)
        };
        let (retried, none) = of("detection", 3, at);
        assert!(matches!(retried, Fate::Retried(tries) if tries.made == 4 && tries.due == Timestamp::from_secs(1_040)));
        assert_eq!(none, None);
        let given_up = Some(GivenUp { made: 5, error: "away".into() });
        let (kept, told) = of("detection", 4, at);
        assert!(matches!(kept, Fate::Kept(tries) if tries.is_dead && tries.made == 5));
        assert_eq!(told, given_up);
        assert_eq!(of("org_per_1h", 4, at), (Fate::Forgotten, given_up.clone()));
        assert_eq!(of("org_uninstall", 4, at), (Fate::Ended, given_up));
        let (old, _) = of("detection", 0, at.saturating_add(WAITED_MAX));
        assert!(matches!(old, Fate::Kept(_)), "after a day it is given up");
    }
}
