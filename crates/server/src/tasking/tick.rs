//! What happens by itself: retries, paced sends, expiry, fading tags.

use super::{Tasking, carry_out};
use std::sync::Arc;
use std::time::Duration;

/// How often the machine is told that time passed.
const TICK: Duration = Duration::from_millis(100);

/// Runs until dropped.
pub async fn run(tasking: Arc<Tasking>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        for organization in tasking.organizations.all() {
            let deeds = organization.turn(None, |state, now| state.dispatch().tick(now));
            if !deeds.is_empty() {
                // The machine begins nothing anew that is still under way.
                let (tasking, organization) = (Arc::clone(&tasking), Arc::clone(&organization));
                let jobs = tasking.jobs.clone();
                jobs.spawn(async move { carry_out(&tasking, &organization, deeds).await });
            }
        }
    }
}
