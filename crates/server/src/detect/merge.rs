//! Merging the segments of an organization's rules while nobody waits for it.
//!
//! A change of a rule is put in force with little work, and leaves events a search more, or a rule that was struck out.
//! While changes go on, only young segments are merged, so that there are few; after a while without, all of them.

use super::{Detect, Detector};
use crate::jobs::aside;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::sleep;

/// How often it is looked whether something is to be done, while there is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Time without a change after which all rules are compiled together, for each rule: about 20 times what that takes, so
/// that it takes a twentieth of a processor however often rules change.
const QUIET_PER_RULE: Duration = Duration::from_millis(1);

/// Begins to merge, if there is something to merge and nobody does.
pub(super) fn begin(detect: &Arc<Detect>, detector: &Arc<Detector>) {
    if detector.rules().is_scattered() && !detector.is_merging.swap(true, Ordering::AcqRel) {
        detect.detectors.spawn(detector.oid, run(Arc::downgrade(detect), Arc::clone(detector)));
    }
}

async fn run(detect: Weak<Detect>, detector: Arc<Detector>) {
    let (mut seen, mut quiet) = (detector.rules(), Duration::ZERO);
    while detector.rules().is_scattered() {
        sleep(LOOK_EVERY).await;
        let rules = detector.rules();
        quiet = if Arc::ptr_eq(&rules, &seen) { quiet + LOOK_EVERY } else { Duration::ZERO };
        seen = Arc::clone(&rules);
        let is_all = quiet >= QUIET_PER_RULE * u32::try_from(rules.len()).unwrap_or(u32::MAX);
        let Ok(Some(merged)) = aside(move || rules.merged(is_all)).await else { continue };
        let Some(detect) = detect.upgrade() else { return };
        let one_at_a_time = detect.detectors.reloading(detector.oid);
        let _one_at_a_time = one_at_a_time.lock().await;
        let rules = detector.rules();
        let is_unchanged = Arc::ptr_eq(&rules, &seen);
        // What is merged may be all rules, and much to free.
        let Ok(rules) = aside(move || Arc::new(rules.with(&merged))).await else { continue };
        if is_unchanged {
            seen = Arc::clone(&rules);
        }
        detector.replace(rules, None).await;
    }
    detector.is_merging.store(false, Ordering::Release);
    // A change may have come after the last look.
    if let Some(detect) = detect.upgrade() {
        begin(&detect, &detector);
    }
}
