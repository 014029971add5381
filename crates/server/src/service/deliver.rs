//! Taking messages out of the outbox: one worker per lane that has something, several calls at once.
//!
//! A message is forgotten after the program has answered that it is done, so it comes at least once. A call that
//! failed is repeated after a pause that grows ([`Patience`]), under the same id; after some tries, or a day, the
//! message is given up and kept. A program that is not reached several times in a row is left alone for a while, and
//! one that refuses our signature until it accepts a health check.

use super::action::Order;
use super::outbox::{Lane, Next};
use super::post::{Answered, Said, Verdict, call_max, is_too_old};
use super::program::{Program, Protocol};
use super::{ERROR_REPORT, Error, Found, SECRETS_DIFFER, Services, TOO_MANY, message, registry};
use crate::{clock, errors, random};
use muster_model::{Oid, Timestamp};
use muster_store::{Delivery, Tries, Write};
use muster_webhook::extension::{UNSUBSCRIBE, UPDATE};
use muster_webhook::service::{Etype, Per};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Calls of one lane that are under way at once.
const LANE_CALLS_MAX: usize = 16;

/// How often one message is tried, and the pauses between tries: at first, and at most after doubling.
pub(super) struct Patience {
    pub(super) tries_max: u32,
    pause_min: Duration,
    pause_max: Duration,
}

/// Source: reference/service-protocol.md section 5.
const WITH_SERVICES: Patience =
    Patience { tries_max: 5, pause_min: Duration::from_secs(5), pause_max: Duration::from_secs(5 * 60) };

/// Source: reference/extension-protocol.md section 5.3.
const WITH_EXTENSIONS: Patience =
    Patience { tries_max: 3, pause_min: Duration::from_secs(1), pause_max: Duration::from_secs(15) };

/// For how long a program that is not reached is left alone: at first, and at most after doubling.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(5 * 60);

/// After so many calls in a row that did not reach it, a program is left alone, for a time that doubles.
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
            errors::report(&services.records, lane.oid, &lane.target, TOO_MANY).await;
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
            biased;
            Some(_) = calls.join_next() => {}
            () = lane.changed.notified() => {}
            () = sleep(pause) => {}
        }
        while calls.try_join_next().is_some() {}
    }
}

/// What becomes of a message.
pub(super) enum Outcome {
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

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
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

/// Calls the program, unless the message need not be sent or cannot be now.
async fn attempt(services: &Services, lane: &Lane, delivery: &Delivery, body: &[u8]) -> Outcome {
    let Some(program) = Program::of_target(&lane.target) else { return Outcome::Done };
    let Some(found) = addressee(services, lane, &program, &delivery.kind) else { return Outcome::Done };
    let done = if is_farewell(&delivery.kind) { Outcome::Ended } else { Outcome::Done };
    let condition = services.condition(found.owner, &program);
    // Closed never.
    let _permit = condition.calls.acquire().await;
    let now = clock::now();
    {
        let state = condition.state.lock();
        if state.is_secret_wrong || state.closed_until > now {
            let reopens = state.closed_until.max(now.saturating_add(REST_MIN));
            let is_too_old = is_too_old(delivery.at, now);
            return if is_too_old { Outcome::Failed(state.error.clone()) } else { Outcome::Later(reopens) };
        }
    }
    let said = match services.said(&found, lane.oid, &program, delivery, body).await {
        Ok(Some(said)) => said,
        Ok(None) => return done,
        Err(outcome) => return outcome,
    };
    let within = call_max(program.protocol);
    let called = services.clients.post(&found.registration, &said, services.allows_private, within).await;
    let verdict = match called {
        Ok(verdict) => verdict,
        Err(reason) => {
            condition.state.lock().missed(clock::now(), &reason);
            return Outcome::Again(reason);
        }
    };
    condition.state.lock().reached();
    match verdict {
        Verdict::Done(answered) => {
            let taken = match answered {
                Answered::Service(answer) => services.take_answer(lane.oid, &program, &answer).await,
                Answered::Extension(answer) => {
                    let (key, level) = Order::key_of(delivery, body);
                    services.take_aftermath(lane.oid, &program, (&key, level), &answer).await
                }
            };
            match taken {
                Ok(()) => done,
                // The program did it; what it said beside could not be stored, and it will say it again.
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
            services.tell(found.owner, &program, SECRETS_DIFFER).await;
            Outcome::Later(now.saturating_add(REST_MIN))
        }
        Verdict::Again(reason) => Outcome::Again(reason),
    }
}

impl Services {
    /// What a waiting message says now; `None` if the program does not want to hear it.
    async fn said(
        &self,
        found: &Found,
        oid: Oid,
        program: &Program,
        delivery: &Delivery,
        body: &[u8],
    ) -> Result<Option<Said>, Outcome> {
        let Ok(Value::Object(data)) = serde_json::from_slice(body) else { return Ok(None) };
        if program.protocol == Protocol::Extension {
            let message = self.message_to_extension(found, oid, program, delivery, data).await?;
            return Ok(message.map(|message| Said::Message(Box::new(message))));
        }
        let Some(etype) = Etype::parse(&delivery.kind) else { return Ok(None) };
        let callbacks = self.metadata(found.owner, &program.name).map(|metadata| metadata.callbacks);
        let is_missing = callbacks.is_some_and(|have| !have.contains(&delivery.kind))
            || self.condition(found.owner, program).state.lock().missing.contains(&delivery.kind);
        if is_missing && etype == Etype::Request {
            return Err(Outcome::Failed("it takes no requests".into()));
        }
        if is_missing {
            return Ok(None);
        }
        Ok(Some(Said::Event(self.event(oid, program, etype, delivery.id, data)?)))
    }
}

/// Whether a message tells of the end of a subscription.
fn is_farewell(kind: &str) -> bool {
    kind == UNSUBSCRIBE || Etype::parse(kind) == Some(Etype::OrgUninstall)
}

/// Whether nobody needs a message later: the next one comes by itself, or it is about an error.
fn is_passing(kind: &str) -> bool {
    [UPDATE, ERROR_REPORT].contains(&kind) || matches!(Etype::parse(kind), Some(Etype::Every(..) | Etype::ServiceError))
}

/// Who gets a message; nobody if the registration is gone, or the organization is not subscribed any more.
fn addressee(services: &Services, lane: &Lane, program: &Program, kind: &str) -> Option<Found> {
    let records = &services.records;
    let is_global = Etype::parse(kind).is_some_and(|etype| !etype.has_organization());
    if program.protocol == Protocol::Service && is_global {
        return registry::find(records, lane.oid, program).filter(|found| found.owner == lane.oid);
    }
    let subscribed = records.get(lane.oid, program.protocol.subscriptions(), &program.name)?;
    let is_heard = !subscribed.is_ending || is_farewell(kind);
    let registration = records.get(subscribed.owner, program.protocol.registrations(), &program.name);
    Some(Found { owner: subscribed.owner, registration: registration.filter(|_| is_heard)? })
}

/// Stores what became of a message. The store is asked until it does: the call was made.
async fn conclude(services: &Services, lane: &Lane, delivery: Delivery, outcome: Outcome) {
    let (oid, position, now) = (lane.oid, delivery.position, clock::now());
    let Some(program) = Program::of_target(&lane.target) else { return lane.done(position) };
    let patience = Patience::with(program.protocol);
    let made = delivery.tries.made.saturating_add(1);
    let (error, is_last) = match outcome {
        Outcome::Done => return forget(services, lane, position).await,
        Outcome::Ended => return end(services, lane, &program, position).await,
        // Not stored: at worst it is tried earlier after a restart.
        Outcome::Later(due) => {
            lane.stays(position, Tries { due, ..delivery.tries });
            return;
        }
        Outcome::Again(error) => (error, made >= patience.tries_max || is_too_old(delivery.at, now)),
        Outcome::Failed(error) => (error, true),
    };
    let due = now.saturating_add(patience.pause(made, random::number()));
    if !is_last && !is_overtaken(&delivery.kind, delivery.at, due) {
        let tries = Tries { made, due, is_dead: false, error };
        commit(services, vec![Write::PutTries { oid, tries: vec![(position, tries.clone())] }]).await;
        lane.stays(position, tries);
        return;
    }
    give_up(services, lane, &program, delivery, (made, error)).await;
}

async fn forget(services: &Services, lane: &Lane, position: u64) {
    commit(services, vec![Write::DeleteDeliveries { oid: lane.oid, positions: vec![position] }]).await;
    lane.done(position);
}

/// Forgets a message that told of the end of a subscription, and ends its identity with it.
async fn end(services: &Services, lane: &Lane, program: &Program, position: u64) {
    let removal = Write::DeleteDeliveries { oid: lane.oid, positions: vec![position] };
    while let Err(error) = services.end(lane.oid, program, removal.clone()).await {
        tracing::warn!(%error, "the end of a subscription could not be stored");
        sleep(STORE_PAUSE).await;
    }
    lane.done(position);
}

/// Keeps a message that is not tried any more, and tells operators and the program itself of it.
async fn give_up(
    services: &Services,
    lane: &Lane,
    program: &Program,
    delivery: Delivery,
    (made, error): (u32, String),
) {
    let (oid, position) = (lane.oid, delivery.position);
    if is_farewell(&delivery.kind) {
        end(services, lane, program, position).await;
    } else if is_passing(&delivery.kind) {
        forget(services, lane, position).await;
    } else {
        let tries = Tries { made, due: clock::now(), is_dead: true, error: error.clone() };
        commit(services, vec![Write::PutTries { oid, tries: vec![(position, tries.clone())] }]).await;
        if let Some(oldest) = lane.stays(position, tries) {
            commit(services, vec![Write::DeleteDeliveries { oid, positions: vec![oldest] }]).await;
        }
    }
    services.tell(oid, program, &format!("{} was given up after {made} tries: {error}", delivery.kind)).await;
    services.tell_program(oid, program, (&delivery.kind, &delivery.id.to_string()), &error).await;
}

impl Services {
    /// Tells a program of what it failed at, if it wants to know. An error about an error helps nobody.
    /// Source: reference/service-protocol.md section 6.4, reference/extension-protocol.md section 4.
    pub(super) async fn tell_program(&self, oid: Oid, program: &Program, (kind, id): (&str, &str), error: &str) {
        let service_error = Etype::ServiceError.to_string();
        let Some(found) = registry::subscribed(&self.records, oid, program) else { return };
        let (about, data) = match program.protocol {
            Protocol::Service => {
                let callbacks = self.metadata(found.owner, &program.name).map(|metadata| metadata.callbacks);
                if !callbacks.unwrap_or_default().contains(&service_error) {
                    return;
                }
                (service_error.as_str(), json!({"error": error, "oid": oid, "etype": kind, "mid": id}))
            }
            Protocol::Extension => (ERROR_REPORT, json!({"error": error, "oid": oid.to_string()})),
        };
        if kind == about {
            return;
        }
        let data: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
        if let Err(error) = self.put(oid, program, vec![message(program, about, random::uuid(), &data)]).await {
            tracing::warn!(%error, %program, "a program could not be told of an error");
        }
    }
}

async fn commit(services: &Services, writes: Vec<Write>) {
    while let Err(error) = services.store.commit(writes.clone()).await {
        tracing::warn!(%error, "what became of a message could not be stored");
        sleep(STORE_PAUSE).await;
    }
}

impl Patience {
    pub(super) const fn with(protocol: Protocol) -> &'static Self {
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

impl super::State {
    fn reached(&mut self) {
        self.failures = 0;
    }

    fn missed(&mut self, now: Timestamp, reason: &str) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.error = reason.to_owned();
            let rest = REST_MIN.saturating_mul(2_u32.saturating_pow(self.failures - FAILURES_MAX)).min(REST_MAX);
            self.closed_until = now.saturating_add(rest);
        }
    }

    fn refuses_signature(&mut self, now: Timestamp) {
        self.is_secret_wrong = true;
        self.error = SECRETS_DIFFER.to_owned();
        self.ask_at = now.saturating_add(REST_MIN);
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
