//! Taking messages out of the outbox: one worker per lane that has something, several calls at once.
//!
//! A message is forgotten after the service has answered that it is done, so it comes at least once. A call that
//! failed is repeated after a pause that grows ([`pause`]), under the same id; after some tries, or a day, the
//! message is given up and kept. A service that is not reached several times in a row is left alone for a while, and
//! one that refuses our signature until it accepts a health check.

use super::outbox::{Lane, Next};
use super::post::{CALL_MAX, is_too_old};
use super::{Found, SECRETS_DIFFER, SUBSCRIBED, Services, TARGET, TOO_MANY, message, registry};
use crate::{clock, random};
use muster_model::Timestamp;
use muster_store::{Delivery, Tries, Write};
use muster_webhook::service::{Etype, Per, Verdict};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Calls of one lane that are under way at once.
const LANE_CALLS_MAX: usize = 16;

/// Tries of one message. Source: reference/service-protocol.md section 5.
const TRIES_MAX: u32 = 5;

/// Pauses between tries: at first, and at most after doubling.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// After so many calls in a row that did not reach it, a service is left alone, for a time that doubles.
const FAILURES_MAX: u32 = 5;

/// The store could not write or read: it is tried again after this.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A worker that nobody wakes looks after this time all the same.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Delivers until dropped.
pub(super) async fn run(services: Arc<Services>) {
    let mut workers = JoinSet::new();
    loop {
        for lane in services.feed.outbox.take_unserved() {
            workers.spawn(serve(Arc::clone(&services), lane));
        }
        while workers.try_join_next().is_some() {}
        let _ = timeout(IDLE_MAX, services.feed.outbox.ready()).await;
    }
}

/// Delivers what is in a lane until nothing waits any more.
async fn serve(services: Arc<Services>, lane: Arc<Lane>) {
    let mut calls = JoinSet::new();
    loop {
        if lane.has_overflown() {
            services.tell(lane.oid, lane.target.strip_prefix(TARGET).unwrap_or_default(), TOO_MANY).await;
        }
        let now = clock::now();
        let pause = match lane.next(now, LANE_CALLS_MAX - calls.len()) {
            Next::Deliver(deliveries) => {
                for (delivery, body) in deliveries {
                    calls.spawn(deliver(Arc::clone(&services), Arc::clone(&lane), delivery, body));
                }
                continue;
            }
            Next::Wait(due) => due.since(now).min(IDLE_MAX),
            Next::Empty if calls.is_empty() && lane.leave() => return,
            Next::Empty => IDLE_MAX,
        };
        tokio::select! {
            Some(_) = calls.join_next() => {}
            () = lane.changed.notified() => {}
            () = sleep(pause) => {}
        }
        while calls.try_join_next().is_some() {}
    }
}

/// What becomes of a message.
enum Outcome {
    /// It is forgotten.
    Done,
    /// It ended the subscription: its identity ends with it.
    Ended,
    /// It is tried again, without that this try counts.
    Later(Timestamp),
    /// It is tried again.
    Again(String),
    /// It is given up.
    Failed(String),
}

async fn deliver(services: Arc<Services>, lane: Arc<Lane>, delivery: Delivery, body: Option<Vec<u8>>) {
    let outcome = match body {
        Some(body) => attempt(&services, &lane, &delivery, &body).await,
        None => {
            let (oid, position) = (lane.oid, delivery.position);
            match services.store.read(move |read| read.delivery_bodies(oid, &[position])).await {
                Ok(bodies) => match bodies.first() {
                    Some((_, body)) => attempt(&services, &lane, &delivery, body).await,
                    // Its organization was deleted, with all that it had.
                    None => Outcome::Done,
                },
                Err(error) => {
                    tracing::warn!(%error, target = lane.target, "a message could not be read");
                    Outcome::Later(clock::now().saturating_add(STORE_PAUSE))
                }
            }
        }
    };
    conclude(&services, &lane, delivery, outcome).await;
}

/// Calls the service, unless the message need not be sent or cannot be now.
async fn attempt(services: &Services, lane: &Lane, delivery: &Delivery, body: &[u8]) -> Outcome {
    let name = lane.target.strip_prefix(TARGET).unwrap_or_default();
    let Some(etype) = Etype::parse(&delivery.kind) else { return Outcome::Done };
    let Some(found) = addressee(services, lane, name, etype) else { return Outcome::Done };
    let done = if etype == Etype::OrgUninstall { Outcome::Ended } else { Outcome::Done };
    let condition = services.condition(found.owner, name);
    let callbacks = services.metadata(found.owner, name).map(|metadata| metadata.callbacks);
    let is_missing = callbacks.is_some_and(|have| !have.contains(&delivery.kind))
        || condition.state.lock().missing.contains(&delivery.kind);
    if is_missing {
        let is_request = etype == Etype::Request;
        return if is_request { Outcome::Failed("it takes no requests".into()) } else { done };
    }
    let Ok(Value::Object(data)) = serde_json::from_slice(body) else { return Outcome::Done };
    // Closed never.
    let _permit = condition.calls.acquire().await;
    let now = clock::now();
    {
        let state = condition.state.lock();
        if state.is_secret_wrong || state.closed_until > now {
            let reopens = state.closed_until.max(now.saturating_add(PAUSE_MIN));
            let is_too_old = is_too_old(delivery.at, now);
            return if is_too_old { Outcome::Failed(state.error.clone()) } else { Outcome::Later(reopens) };
        }
    }
    let event = match services.event(lane.oid, name, etype, delivery.id, data) {
        Ok(event) => event,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let called = services.clients.post(&found.registration, &event, services.allows_private, CALL_MAX).await;
    let verdict = match called {
        Ok(verdict) => verdict,
        Err(reason) => {
            condition.state.lock().missed(clock::now(), &reason);
            return Outcome::Again(reason);
        }
    };
    condition.state.lock().reached();
    match verdict {
        Verdict::Done(answer) => {
            match services.take_answer(lane.oid, name, &answer).await {
                Ok(()) => done,
                // The service did it; what it said beside could not be stored, and it will say it again.
                Err(error) => Outcome::Again(error.to_string()),
            }
        }
        Verdict::NotImplemented => {
            condition.state.lock().missing.insert(delivery.kind.clone());
            done
        }
        Verdict::Failed(reason) => Outcome::Failed(reason),
        Verdict::WrongSecret => {
            let now = clock::now();
            condition.state.lock().refuses_signature(now);
            services.ask.notify_one();
            services.tell(found.owner, name, SECRETS_DIFFER).await;
            Outcome::Later(now.saturating_add(PAUSE_MIN))
        }
        Verdict::Again(reason) => Outcome::Again(reason),
    }
}

/// Who gets a message; nobody if the registration is gone, or the organization is not subscribed any more.
fn addressee(services: &Services, lane: &Lane, name: &str, etype: Etype) -> Option<Found> {
    let records = &services.records;
    if !etype.has_organization() {
        return registry::find(records, lane.oid, name).filter(|found| found.owner == lane.oid);
    }
    let subscribed = records.get(lane.oid, SUBSCRIBED, name)?;
    let is_heard = !subscribed.is_ending || etype == Etype::OrgUninstall;
    let registration = records.get(subscribed.owner, registry::SERVICE, name).filter(|_| is_heard)?;
    Some(Found { owner: subscribed.owner, registration })
}

/// Stores what became of a message. The store is asked until it does: the call was made.
async fn conclude(services: &Services, lane: &Lane, delivery: Delivery, outcome: Outcome) {
    let (oid, position, now) = (lane.oid, delivery.position, clock::now());
    let name = lane.target.strip_prefix(TARGET).unwrap_or_default();
    let removal = || Write::DeleteDeliveries { oid, positions: vec![position] };
    let made = delivery.tries.made.saturating_add(1);
    let (error, is_last) = match outcome {
        Outcome::Done => {
            commit(services, vec![removal()]).await;
            return lane.done(position);
        }
        Outcome::Ended => {
            while let Err(error) = services.end(oid, name, removal()).await {
                tracing::warn!(%error, "the end of a subscription could not be stored");
                sleep(STORE_PAUSE).await;
            }
            return lane.done(position);
        }
        // Not stored: at worst it is tried earlier after a restart.
        Outcome::Later(due) => {
            lane.stays(position, Tries { due, ..delivery.tries });
            return;
        }
        Outcome::Again(error) => (error, made >= TRIES_MAX || is_too_old(delivery.at, now)),
        Outcome::Failed(error) => (error, true),
    };
    let etype = Etype::parse(&delivery.kind);
    let due = now.saturating_add(pause(made, random::number()));
    if !is_last && !etype.is_some_and(|etype| is_overtaken(etype, delivery.at, due)) {
        let tries = Tries { made, due, is_dead: false, error };
        commit(services, vec![Write::PutTries { oid, tries: vec![(position, tries.clone())] }]).await;
        lane.stays(position, tries);
        return;
    }
    give_up(services, lane, delivery, (made, error)).await;
}

/// Keeps a message that is not tried any more, and tells operators and the service itself of it.
async fn give_up(services: &Services, lane: &Lane, delivery: Delivery, (made, error): (u32, String)) {
    let (oid, position) = (lane.oid, delivery.position);
    let name = lane.target.strip_prefix(TARGET).unwrap_or_default();
    let etype = Etype::parse(&delivery.kind);
    if etype == Some(Etype::OrgUninstall) {
        let removal = Write::DeleteDeliveries { oid, positions: vec![position] };
        while let Err(error) = services.end(oid, name, removal.clone()).await {
            tracing::warn!(%error, "the end of a subscription could not be stored");
            sleep(STORE_PAUSE).await;
        }
        lane.done(position);
    } else if matches!(etype, Some(Etype::Every(..) | Etype::ServiceError)) {
        // Nobody needs them later: the next one comes by itself.
        commit(services, vec![Write::DeleteDeliveries { oid, positions: vec![position] }]).await;
        lane.done(position);
    } else {
        let tries = Tries { made, due: clock::now(), is_dead: true, error: error.clone() };
        commit(services, vec![Write::PutTries { oid, tries: vec![(position, tries.clone())] }]).await;
        if let Some(oldest) = lane.stays(position, tries) {
            commit(services, vec![Write::DeleteDeliveries { oid, positions: vec![oldest] }]).await;
        }
    }
    services.tell(oid, name, &format!("{} was given up after {made} tries: {error}", delivery.kind)).await;
    if etype != Some(Etype::ServiceError) {
        tell_service(services, lane, name, &delivery, &error).await;
    }
}

/// Tells a service of what it failed at, if it wants to know. Source: reference/service-protocol.md section 6.4.
async fn tell_service(services: &Services, lane: &Lane, name: &str, delivery: &Delivery, error: &str) {
    let Some(found) = registry::subscribed(&services.records, lane.oid, name) else { return };
    let callbacks = services.metadata(found.owner, name).map(|metadata| metadata.callbacks).unwrap_or_default();
    if !callbacks.contains(&Etype::ServiceError.to_string()) {
        return;
    }
    let data = json!({"error": error, "oid": lane.oid, "etype": delivery.kind, "mid": delivery.id});
    let data: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
    let mut posted =
        services.feed.outbox.put(lane.oid, vec![message(name, Etype::ServiceError, random::uuid(), &data)]);
    match services.store.commit(vec![posted.stored()]).await {
        Ok(()) => posted.deliver(),
        Err(error) => tracing::warn!(%error, name, "a service could not be told of an error"),
    }
}

async fn commit(services: &Services, writes: Vec<Write>) {
    while let Err(error) = services.store.commit(writes.clone()).await {
        tracing::warn!(%error, "what became of a message could not be stored");
        sleep(STORE_PAUSE).await;
    }
}

/// How long a message waits after so many tries: it doubles, and varies by a fifth, so that what failed together does
/// not come together. `random` is any number. Source: reference/service-protocol.md section 5.
fn pause(made: u32, random: u64) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(made.saturating_sub(1))).min(PAUSE_MAX);
    let parts_per_thousand = 800 + u32::try_from(random % 401).unwrap_or(200);
    doubled * parts_per_thousand / 1_000
}

/// Whether the next event of the same kind comes before this one would be tried again, or it is not tried again.
fn is_overtaken(etype: Etype, at: Timestamp, due: Timestamp) -> bool {
    match etype {
        Etype::Every(period, Per::Organization | Per::Service | Per::Sensor) => {
            due.since(at) >= Duration::from_secs(period.seconds())
        }
        Etype::ServiceError => true,
        _ => false,
    }
}

impl super::State {
    fn reached(&mut self) {
        self.failures = 0;
    }

    fn missed(&mut self, now: Timestamp, reason: &str) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.error = reason.to_owned();
            let rest = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.failures - FAILURES_MAX)).min(PAUSE_MAX);
            self.closed_until = now.saturating_add(rest);
        }
    }

    fn refuses_signature(&mut self, now: Timestamp) {
        self.is_secret_wrong = true;
        self.error = SECRETS_DIFFER.to_owned();
        self.ask_at = now.saturating_add(PAUSE_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_webhook::service::Period;

    #[test]
    fn pauses_double_up_to_a_bound_and_vary_by_a_fifth() {
        let seconds = |made: u32, random: u64| pause(made, random).as_secs_f64();
        assert_eq!((seconds(1, 200), seconds(2, 200), seconds(3, 200)), (5.0, 10.0, 20.0));
        assert_eq!((seconds(1, 0), seconds(1, 400), seconds(1, 401)), (4.0, 6.0, 4.0));
        assert_eq!((seconds(20, 200), seconds(u32::MAX, 400)), (300.0, 360.0));
    }

    #[test]
    fn a_periodic_event_is_not_tried_after_the_next_one_is_due() {
        let at = Timestamp::from_secs(1_000);
        let hourly = Etype::Every(Period::Hour1, Per::Sensor);
        assert!(!is_overtaken(hourly, at, Timestamp::from_secs(1_000 + 3_599)));
        assert!(is_overtaken(hourly, at, Timestamp::from_secs(1_000 + 3_600)));
        assert!(!is_overtaken(Etype::Detection, at, Timestamp::MAX));
        assert!(is_overtaken(Etype::ServiceError, at, at), "an error about an error helps nobody");
    }

    #[test]
    fn a_service_that_is_not_reached_is_left_alone_ever_longer_until_it_is() {
        let (mut state, now) = (super::super::State::default(), Timestamp::from_secs(1));
        for _ in 1..FAILURES_MAX {
            state.missed(now, "no route");
        }
        assert_eq!(state.closed_until, Timestamp::ZERO);
        let rests: Vec<u64> = (0..9)
            .map(|_| {
                state.missed(now, "no route");
                state.closed_until.since(now).as_secs()
            })
            .collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        state.reached();
        assert_eq!(state.failures, 0);
    }
}
