//! What happens by itself: retries, paced sends, expiry, fading tags.

use super::{Tasking, carry_out};
use std::sync::Arc;

/// Tells organizations that time passed, each when that changes something for it. Runs until dropped.
pub async fn run(tasking: Arc<Tasking>) {
    loop {
        for organization in tasking.organizations.due().await {
            let deeds = organization.turn(None, |state, now| state.tick(now));
            if !deeds.is_empty() {
                // The machine begins nothing anew that is still under way.
                let (tasking, organization) = (Arc::clone(&tasking), Arc::clone(&organization));
                let jobs = tasking.jobs.clone();
                jobs.spawn(async move { carry_out(&tasking, &organization, deeds).await });
            }
        }
    }
}
