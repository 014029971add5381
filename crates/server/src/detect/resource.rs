//! What services publish for rules: asked for while rules name it, and in force soon after it changes.

use super::{Detect, Detectors, rules};
use crate::hive::{self, Place};
use crate::service::{Named, Published, Uses};
use muster_model::Oid;
use muster_store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked who is to be asked, and what changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks, and puts in force what changed, until dropped.
pub async fn run(detect: Arc<Detect>) {
    let (mut asking, mut seen) = (JoinSet::new(), 0);
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let uses = detect.detectors.uses();
        for wish in detect.services.wishes(&uses).await {
            let services = Arc::clone(&detect.services);
            asking.spawn(async move { services.fulfil(wish).await });
        }
        while asking.try_join_next().is_some() {}
        let version = detect.services.published_version();
        if version == seen {
            continue;
        }
        let mut is_in_force = true;
        for oid in uses.into_keys() {
            if let Err(error) = put_in_force(&detect, oid).await {
                tracing::warn!(%oid, %error, "what services publish could not be put in force");
                is_in_force = false;
            }
        }
        if is_in_force {
            seen = version;
        }
    }
}

impl Detectors {
    /// What the rules of an organization name of what services publish, by record.
    pub(super) fn named(&self, oid: Oid) -> BTreeMap<Place, BTreeSet<Named>> {
        self.named.lock().get(&oid).cloned().unwrap_or_default()
    }

    /// Notes what rules name.
    pub(super) fn names(&self, oid: Oid, named: BTreeMap<Place, BTreeSet<Named>>) {
        let mut all = self.named.lock();
        if named.is_empty() { drop(all.remove(&oid)) } else { drop(all.insert(oid, named)) }
    }

    fn touch_place(&self, oid: Oid, (name, key): &Place) {
        if let Some(hive) = hive::find(name) {
            self.touch(oid, hive, key);
        }
    }

    fn uses(&self) -> Uses {
        let all = self.named.lock();
        all.iter().map(|(oid, named)| (*oid, named.values().flatten().cloned().collect())).collect()
    }
}

/// Puts in force what services publish now. Rules that are made of what changed are loaded anew; for all others it is
/// enough that they look into it.
async fn put_in_force(detect: &Arc<Detect>, oid: Oid) -> Result<(), StoreError> {
    let published = detect.services.published(oid);
    if let Some(detector) = detect.detectors.of(oid) {
        let one_at_a_time = detect.detectors.reloading(oid);
        let _one_at_a_time = one_at_a_time.lock().await;
        let before = Arc::clone(&detector.lookups.read());
        let is_made_anew = |named: &Named| {
            let of = |published: &Published| {
                published.get(&named.0, &named.1).is_some_and(|resource| resource.is_detection())
            };
            published.differs(before.published(), named) && (of(&published) || of(before.published()))
        };
        for (place, named) in detect.detectors.named(oid) {
            if named.iter().any(is_made_anew) {
                detect.detectors.touch_place(oid, &place);
            }
        }
        detector.see(before.seeing(published)).await;
    } else {
        // No rule is in force: perhaps for want of what is there now.
        detect.detectors.named(oid).keys().for_each(|place| detect.detectors.touch_place(oid, place));
    }
    rules::reload(detect, oid).await
}
