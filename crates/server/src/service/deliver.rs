//! Taking messages out of the outbox: one worker per lane that has something, several calls at once.
//!
//! A message is forgotten after the program has answered that it is done, so it comes at least once. What becomes of
//! one that failed is decided by [`fate`], when a program is left alone by its [`State`](super::State).

use super::action::Order;
use super::backlog::Next;
use super::condition::Closed;
use super::fate::{Fate, GivenUp, Outcome, Patience, fate, is_farewell, is_heard, writes};
use super::outbox::Lane;
use super::post::{Answered, Said, Verdict, call_max};
use super::program::{Program, Protocol};
use super::{Condition, ERROR_REPORT, Error, Found, Services, TOO_MANY, message, registry};
use crate::jobs::Jobs;
use crate::{clock, errors, random};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use muster_model::{Oid, Timestamp};
use muster_store::{Delivery, StoreError, Write};
use muster_webhook::service::{Envelope, Etype};
use serde_json::{Map, Value, json};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// Calls of one lane that are under way at once.
pub const LANE_CALLS_MAX: usize = 16;

/// How long calls that are under way may go on when the server stops: most take less, and what hangs holds up no stop.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Bodies that are read at once.
pub const READ_AHEAD: usize = 64;

/// What becomes of messages of one lane is stored for so many at once, or for those that there are so long after the first: a
/// commit costs about as much for one as for all of them.
const LOT: usize = 128;
const LOT_MAX: Duration = Duration::from_millis(10);

/// Messages of one lane whose calls are over and whose fates are not stored: more are not begun before these are. They come again
/// if the server is killed.
const UNSETTLED_MAX: usize = 2 * LOT;

/// The store could not write or read: it is tried again after this.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A worker that nobody wakes looks after this time all the same.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Lanes that begin to be served at once: between two lots everybody else has a turn, so that thousands which wait when a server
/// starts delay nobody.
const LANES_AT_ONCE: usize = 8;

/// Delivers until the server stops: then nothing more is begun, and what comes of calls is stored.
pub(super) async fn run(services: Arc<Services>, jobs: Jobs) {
    let mut workers = JoinSet::new();
    while !jobs.is_stopping() {
        let lanes = services.feed.outbox.take_unserved(LANES_AT_ONCE);
        let is_last = lanes.len() < LANES_AT_ONCE;
        for lane in lanes {
            workers.spawn(serve(Arc::clone(&services), lane, jobs.clone()));
        }
        while workers.try_join_next().is_some() {}
        if is_last {
            tokio::select! {
                () = services.feed.outbox.ready() => {}
                () = jobs.stopping() => {}
                () = sleep(IDLE_MAX) => {}
            }
        } else {
            yield_now().await;
        }
    }
    // Each has its bound; and what waits for the store ends with the server at the latest.
    while workers.join_next().await.is_some() {}
}

/// Messages whose calls are over, and whose fates are to be stored together.
#[derive(Default)]
struct Lot {
    ended: Vec<(Delivery, Outcome)>,
    /// When it has to be stored, if there are any.
    due: Option<Instant>,
}

impl Lot {
    fn add(&mut self, ended: impl IntoIterator<Item = (Delivery, Outcome)>) {
        self.ended.extend(ended);
        if !self.ended.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + LOT_MAX);
        }
    }

    /// For how long it may wait for more.
    fn patience(&self) -> Duration {
        let due = self.due.filter(|_| self.ended.len() < LOT);
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))
    }

    fn take(&mut self) -> Vec<(Delivery, Outcome)> {
        self.due = None;
        std::mem::take(&mut self.ended)
    }
}

/// Delivers what is in a lane until nothing waits any more, or the server stops.
///
/// What comes of calls is stored in lots, while others go on: a call waits for no disk. Nor does it wait for bodies: they are read
/// while others are sent.
async fn serve(services: Arc<Services>, lane: Arc<Lane>, jobs: Jobs) {
    let (mut calls, mut settling, mut reading) = (FuturesUnordered::new(), JoinSet::new(), JoinSet::new());
    let (mut lot, mut stopping) = (Lot::default(), pin!(jobs.stopping()));
    while !jobs.is_stopping() {
        while let Some(Some(call)) = calls.next().now_or_never() {
            lot.add(call);
        }
        while settling.try_join_next().is_some() {}
        while reading.try_join_next().is_some() {}
        if settling.is_empty() && !lot.ended.is_empty() && lot.patience().is_zero() {
            settling.spawn(settle(Arc::clone(&services), Arc::clone(&lane), lot.take()));
        }
        if lane.has_overflown() {
            errors::report(&services.records, lane.oid, &lane.target, TOO_MANY).await;
        }
        let now = clock::now();
        let Access { rest, calls_max } = services.access(&lane, now);
        if rest.is_none() && reading.is_empty() {
            let unread = lane.unread(READ_AHEAD);
            if !unread.is_empty() {
                reading.spawn(read(Arc::clone(&services), Arc::clone(&lane), unread));
            }
        }
        let most = if lot.ended.len() < UNSETTLED_MAX { calls_max.saturating_sub(calls.len()) } else { 0 };
        let pause = match lane.next(now, most, rest.as_ref().map(|(until, _)| *until)) {
            Next::Deliver(deliveries) => {
                let call = |(delivery, body)| unharmed(deliver(&services, &lane, delivery, body));
                calls.extend(deliveries.into_iter().map(call));
                continue;
            }
            Next::Expire(deliveries) => {
                let why = rest.map(|(_, why)| why).unwrap_or_default();
                lot.add(deliveries.into_iter().map(|delivery| (delivery, Outcome::Failed(why.clone()))));
                continue;
            }
            Next::Wait(due) => due.since(now).min(IDLE_MAX),
            Next::Empty if lot.ended.is_empty() && calls.is_empty() && settling.is_empty() && reading.is_empty() => {
                if lane.leave() {
                    return;
                }
                IDLE_MAX
            }
            Next::Empty => IDLE_MAX,
        };
        let is_waiting = settling.is_empty() && !lot.ended.is_empty();
        let pause = if is_waiting { pause.min(lot.patience()) } else { pause };
        tokio::select! {
            biased;
            Some(call) = calls.next() => lot.add(call),
            Some(_) = settling.join_next() => {}
            Some(_) = reading.join_next() => {}
            () = lane.changed.notified() => {}
            () = &mut stopping => {}
            () = sleep(pause) => {}
        }
    }
    let ending = async {
        while let Some(call) = calls.next().await {
            lot.add(call);
        }
    };
    // Those that have not ended come again, under the same ids.
    let _ = timeout(STOP_MAX, ending).await;
    drop(calls);
    while settling.join_next().await.is_some() {}
    settle(services, lane, lot.take()).await;
}

/// Reads bodies of messages that are begun soon. What cannot be read now is read by itself, and told then.
async fn read(services: Arc<Services>, lane: Arc<Lane>, positions: Vec<u64>) {
    let oid = lane.oid;
    let bodies = services.store.read(move |read| read.delivery_bodies(oid, &positions)).await;
    lane.fill(bodies.unwrap_or_default());
}

/// Whether, and how often at once, the program of a lane can be called.
struct Access {
    /// Until when it cannot, and why.
    rest: Option<(Timestamp, String)>,
    /// Calls of the lane.
    calls_max: usize,
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What came of a call; nothing if it panicked. All calls of a lane are one task, and it must not end the others.
fn unharmed(call: impl Future<Output = (Delivery, Outcome)>) -> impl Future<Output = Option<(Delivery, Outcome)>> {
    AssertUnwindSafe(call).catch_unwind().map(Result::ok)
}

/// Delivers a message, and tells what came of it.
///
/// What few calls need is boxed, here and in what this calls: there is a future of this for each call.
async fn deliver(services: &Services, lane: &Lane, delivery: Delivery, body: Option<Vec<u8>>) -> (Delivery, Outcome) {
    let outcome = match body {
        Some(body) => attempt(services, lane, &delivery, &body).await,
        None => Box::pin(read_and_attempt(services, lane, &delivery)).await,
    };
    (delivery, outcome)
}

async fn read_and_attempt(services: &Services, lane: &Lane, delivery: &Delivery) -> Outcome {
    let (oid, position) = (lane.oid, delivery.position);
    match services.store.read(move |read| read.delivery_bodies(oid, &[position])).await {
        Ok(bodies) => match bodies.first() {
            Some((_, body)) => attempt(services, lane, delivery, body).await,
            // Its organization was deleted, with all that it had.
            None => Outcome::Done,
        },
        Err(error) => {
            tracing::warn!(%error, target = lane.target, "a message could not be read");
            Outcome::Later(clock::now().saturating_add(STORE_PAUSE))
        }
    }
}

/// Calls the program, unless the message need not be sent or cannot be now.
async fn attempt(services: &Services, lane: &Lane, delivery: &Delivery, body: &[u8]) -> Outcome {
    let Some(program) = &lane.program else { return Outcome::Done };
    let Some(found) = addressee(services, lane, program, &delivery.kind) else { return Outcome::Done };
    let done = if is_farewell(&delivery.kind) { Outcome::Ended } else { Outcome::Done };
    let condition = services.condition(found.owner, program);
    // Closed never.
    let _permit = condition.calls.acquire().await;
    condition.wait_turn(found.registration.rate).await;
    // Somebody else's call may have told meanwhile; and of an organization that is lost nothing is sent.
    let rest = condition.state.lock().rest(clock::now());
    if let Some(until) = rest {
        return Outcome::Later(until);
    }
    if services.organizations.is_lost(lane.oid) {
        return Outcome::Done;
    }
    let said = match services.said(&found, &condition, lane.oid, program, delivery, body).await {
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
                Answered::Service(answer) => services.take_answer(lane.oid, program, &answer).await,
                Answered::Extension(answer) => {
                    let (key, level) = Order::key_of(delivery, body);
                    Box::pin(services.take_aftermath(lane.oid, program, (&key, level), &answer)).await
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
        Verdict::Closed(Closed::WrongSecret) => {
            let now = clock::now();
            condition.state.lock().refuses_signature(now);
            services.ask.notify_one();
            Box::pin(services.tell(found.owner, program, Closed::WrongSecret.text())).await;
            Outcome::Later(now)
        }
        Verdict::Closed(Closed::Busy(pause)) => {
            let now = clock::now();
            condition.state.lock().is_busy(now, pause);
            Outcome::Later(now.saturating_add(pause))
        }
        Verdict::Again(reason) => Outcome::Again(reason),
    }
}

impl Services {
    /// Whether the program of a lane can be called.
    fn access(&self, lane: &Lane, now: Timestamp) -> Access {
        let Some(program) = &lane.program else { return Access { rest: None, calls_max: LANE_CALLS_MAX } };
        let subscribed = self.records.shared(lane.oid, program.protocol.subscriptions(), &program.name);
        // Of a service itself, its owner hears.
        let owner = subscribed.map_or(lane.oid, |subscribed| subscribed.owner);
        let condition = self.condition(owner, program);
        let state = condition.state.lock();
        let rest = state.rest(now).map(|until| (until, state.error.clone()));
        Access { rest, calls_max: state.calls_max(LANE_CALLS_MAX) }
    }

    /// What a waiting message says now; `None` if the program does not want to hear it.
    async fn said(
        &self,
        found: &Found,
        condition: &Condition,
        oid: Oid,
        program: &Program,
        delivery: &Delivery,
        body: &[u8],
    ) -> Result<Option<Said>, Outcome> {
        if program.protocol == Protocol::Extension {
            let Some(data) = object(body) else { return Ok(None) };
            let message = Box::pin(self.message_to_extension(found, oid, program, delivery, data)).await?;
            return Ok(message.map(|message| Said::Message(Box::new(message))));
        }
        let Some(etype) = Etype::parse(&delivery.kind) else { return Ok(None) };
        let metadata = self.metadata(found.owner, &program.name);
        let is_missing = metadata.is_some_and(|metadata| !metadata.callbacks.contains(&delivery.kind))
            || condition.state.lock().missing.contains(&delivery.kind);
        if is_missing && etype == Etype::Request {
            return Err(Outcome::Failed("it takes no requests".into()));
        }
        if is_missing {
            return Ok(None);
        }
        let token = if etype.has_organization() { Some(self.token(oid, program)?) } else { None };
        let of = token.as_deref().map(|token| (oid, token));
        let id = delivery.id.hyphenated();
        let written = Envelope::written(etype, id.encode_lower(&mut Uuid::encode_buffer()), clock::now(), of, body);
        if let Some(written) = written {
            return Ok(Some(Said::Event(written.into())));
        }
        let Some(data) = object(body) else { return Ok(None) };
        Ok(Some(self.event(oid, program, etype, delivery.id, data)?.into()))
    }
}

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok()
}

/// Who gets a message; nobody if the registration is gone, or the organization is not subscribed any more.
fn addressee(services: &Services, lane: &Lane, program: &Program, kind: &str) -> Option<Found> {
    let records = &services.records;
    let is_global = Etype::parse(kind).is_some_and(|etype| !etype.has_organization());
    if program.protocol == Protocol::Service && is_global {
        return registry::find(records, lane.oid, program).filter(|found| found.owner == lane.oid);
    }
    let subscribed = records.shared(lane.oid, program.protocol.subscriptions(), &program.name)?;
    let registration = records.shared(subscribed.owner, program.protocol.registrations(), &program.name);
    let is_heard = is_heard(kind, Some(subscribed.is_ending));
    Some(Found { owner: subscribed.owner, registration: registration.filter(|_| is_heard)? })
}

/// Stores what becomes of messages, in one commit.
async fn settle(services: Arc<Services>, lane: Arc<Lane>, ended: Vec<(Delivery, Outcome)>) {
    let Some(program) = &lane.program else { return };
    let (patience, now) = (Patience::with(program.protocol), clock::now());
    let mut fates = Vec::with_capacity(ended.len());
    for (delivery, outcome) in ended {
        // Of what is done, nothing is left to chance.
        let chance = if outcome == Outcome::Done { 0 } else { random::number() };
        let (fate, given_up) = fate(&delivery, patience, outcome, now, chance);
        fates.push((delivery, fate, given_up));
    }
    let is_end = fates.iter().any(|(_, fate, _)| *fate == Fate::Ended);
    let all = writes(lane.oid, fates.iter().map(|(delivery, fate, _)| (delivery.position, fate)));
    if store(&services, &lane, program, all, is_end).await.is_err() {
        return;
    }
    let mut told = Vec::new();
    for (delivery, fate, given_up) in fates {
        if let Some(oldest) = lane.settle(delivery.position, fate) {
            // Whoever owns the organization by now keeps one too many, at worst.
            let forgotten = writes(lane.oid, [(oldest, &Fate::Forgotten)]);
            let _ = store(&services, &lane, program, forgotten, false).await;
        }
        told.extend(given_up.map(|given_up| (delivery, given_up)));
    }
    for (delivery, GivenUp { made, error }) in told {
        services.tell(lane.oid, program, &format!("{} was given up after {made} tries: {error}", delivery.kind)).await;
        services.tell_program(lane.oid, program, (&delivery.kind, &delivery.id.to_string()), &error).await;
    }
}

/// Stores what becomes of messages; with the end of a subscription, that too. The store is asked until it does, since calls were
/// made; it fails if they are someone else's by now.
async fn store(
    services: &Services,
    lane: &Lane,
    program: &Program,
    writes: Vec<Write>,
    is_end: bool,
) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    loop {
        let stored = match is_end {
            true => services.end(lane.oid, program, writes.clone()).await,
            false => services.store.commit(writes.clone()).await.map_err(Error::from),
        };
        match stored {
            Ok(()) => return Ok(()),
            Err(Error::Store(lost @ (StoreError::Deposed(_) | StoreError::Unknown(_)))) => return Err(lost),
            Err(error) => tracing::warn!(%error, %program, "what becomes of messages could not be stored"),
        }
        sleep(STORE_PAUSE).await;
    }
}

impl Services {
    /// Tells a program of what it failed at, if it wants to know. An error about an error helps nobody.
    /// Source: reference/service-protocol.md section 6.4, reference/extension-protocol.md section 4.
    pub(super) async fn tell_program(&self, oid: Oid, program: &Program, (kind, id): (&str, &str), error: &str) {
        let service_error = Etype::ServiceError.to_string();
        let Some(found) = registry::subscribed(&self.records, oid, program) else { return };
        let (about, data) = match program.protocol {
            Protocol::Service => {
                let metadata = self.metadata(found.owner, &program.name).unwrap_or_default();
                if !metadata.callbacks.contains(&service_error) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use muster_store::Tries;
    use tokio::time::advance;

    fn ended(count: usize) -> Vec<(Delivery, Outcome)> {
        let delivery = Delivery {
            position: 1,
            target: "service/a".into(),
            id: Uuid::nil(),
            kind: "detection".into(),
            at: Timestamp::ZERO,
            bytes: 2,
            tries: Tries::default(),
        };
        vec![(delivery, Outcome::Done); count]
    }

    #[tokio::test(start_paused = true)]
    async fn a_lot_is_stored_when_it_is_full_or_its_first_has_waited_long_enough() {
        let mut lot = Lot::default();
        lot.add(ended(1));
        assert_eq!(lot.patience(), LOT_MAX);
        advance(LOT_MAX / 2).await;
        lot.add(ended(1));
        assert_eq!(lot.patience(), LOT_MAX / 2, "one that comes later changes nothing");
        advance(LOT_MAX / 2).await;
        assert_eq!((lot.patience(), lot.take().len()), (Duration::ZERO, 2));
        advance(LOT_MAX).await;
        lot.add(ended(LOT - 1));
        assert_eq!(lot.patience(), LOT_MAX, "the next lot has a time of its own");
        lot.add(ended(1));
        assert_eq!((lot.patience(), lot.take().len()), (Duration::ZERO, LOT));
        assert!(lot.due.is_none() && lot.ended.is_empty());
    }
}
