//! All tasks of one organization, and which of them a sensor is owed next.
//!
//! Tasks with few targets are found through their targets ([`NARROW_TARGETS_MAX`]),
//! tasks with many through groups of tasks ([`wide`]): a sensor that connects
//! pays for the tasks that concern it, not for all. What is asked again and again
//! (what expires, what paces itself) has an index of its own for the same reason.

mod advance;
mod control;
mod wide;

use crate::TargetState;
use crate::clock::{CLOCK_JITTER, Clock};
use crate::target::Target;
use crate::task::Task;
use advance::{advance, ended};
use muster_model::{TaskId, Timestamp};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;
use wide::Wide;

pub use control::ControlChange;

/// First wait for a confirmation before a task is sent again on the same link.
/// Source: reference/sensor.md section 12.2.
pub const RETRY_FIRST: Duration = Duration::from_secs(60);

/// The wait doubles up to this. Source: the same.
pub const RETRY_LONGEST: Duration = Duration::from_secs(15 * 60);

/// Time after which sensors are asked for again whose offer could not be stored. One
/// attempt covers many of them, so that a full disk is not asked in vain too often.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Up to this many targets, a task is listed under each of them. Bounds what
/// the creation of one task costs; above, one bit test per connection is cheaper.
const NARROW_TARGETS_MAX: u64 = 4_096;

/// All tasks of one organization.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    tasks: BTreeMap<u64, Task>,
    by_id: HashMap<TaskId, u64>,
    narrow: HashMap<u32, Vec<u64>>,
    wide: Wide,
    dynamic: BTreeSet<u64>,
    paced: BTreeSet<u64>,
    pub(crate) clock: Clock,
    /// Tasks that have not expired yet, by when they do: steady instants.
    expiries: BTreeSet<(Timestamp, u64)>,
    /// Tasks that a sensor has confirmed and not ended, by sensor.
    held: HashMap<u32, BTreeSet<u64>>,
    unconfirmed: HashMap<u32, Attempt>,
    /// By wait, so that those which a clock that was set back would hold up are found as well.
    retries: BTreeMap<Duration, BTreeSet<(Timestamp, u32)>>,
    /// Who is asked for again at `ask_again_at`, though nothing happens to them.
    postponed: RoaringBitmap,
    ask_again_at: Timestamp,
    last_number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    number: u64,
    retry_at: Timestamp,
    wait: Duration,
}

impl Attempt {
    /// No attempt waits longer than it was meant to, wherever the clock was set.
    fn is_due(&self, now: Timestamp) -> bool {
        self.retry_at <= now || self.retry_at > latest_retry(now, self.wait)
    }
}

/// No retry that was decided upon until now lies later, unless the clock was set back since.
fn latest_retry(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).saturating_add(CLOCK_JITTER)
}

/// A task to hand to a link once `target` is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Number of the task.
    pub number: u64,
    /// The sensor.
    pub ordinal: u32,
    /// What to store first: `sent`, with this attempt counted.
    pub target: Target,
    before: Target,
}

/// A step that an endpoint reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Of which task.
    pub task_id: TaskId,
    /// Where it stands there.
    pub state: TargetState,
    /// When, by the endpoint's clock.
    pub at: Timestamp,
    /// `ERROR` of the answer.
    pub code: i32,
    /// Readable reason.
    pub error: Option<Box<str>>,
}

/// Why a report cannot be used. The endpoint is told to forget it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No such task: it was forgotten, or never was.
    #[error("no such task")]
    UnknownTask,
    /// The task is not for this sensor.
    #[error("the task is not for this sensor")]
    NotATarget,
}

impl Queue {
    /// The number for the next task.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    /// Keeps a number from being used again, though its task is forgotten.
    pub fn reserve(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    /// Takes in a task that is stored.
    pub fn insert(&mut self, mut task: Task) {
        // After a restart, should that it stopped itself not have been stored. What is unsupported
        // from the beginning does not stop a task before it begins.
        if task.failed.len() > task.control.unsupported.len() {
            task.stop_if_too_many_failed();
        }
        self.reserve(task.number);
        self.by_id.insert(task.spec.task_id, task.number);
        self.index(&task);
        self.expiries.insert((task.spec.ends_at(), task.number));
        if task.spec.dynamic {
            self.dynamic.insert(task.number);
        }
        if task.spec.pace.max_per_second.is_some() || task.spec.pace.max_in_flight.is_some() {
            self.paced.insert(task.number);
        }
        for ordinal in &task.held() {
            self.held.entry(ordinal).or_default().insert(task.number);
        }
        self.tasks.insert(task.number, task);
    }

    fn index(&mut self, task: &Task) {
        if task.targets.len() > NARROW_TARGETS_MAX || task.spec.dynamic {
            self.wide.insert(task.number, &task.targets);
        } else {
            for ordinal in &task.open {
                self.narrow.entry(ordinal).or_default().push(task.number);
            }
        }
    }

    /// A task by its number.
    #[must_use]
    pub fn task(&self, number: u64) -> Option<&Task> {
        self.tasks.get(&number)
    }

    /// A task by its published id.
    #[must_use]
    pub fn find(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(self.by_id.get(&id)?)
    }

    /// All tasks, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.values()
    }

    /// The steady instant of a reading of the server's clock: the reading without that by which the clock was set
    /// while the server ran. Times to live are judged by these.
    #[must_use]
    pub fn steady(&self, now: Timestamp) -> Timestamp {
        self.clock.steady(now)
    }

    /// Whether the time of a task has run out.
    #[must_use]
    pub fn is_over(&self, task: &Task, now: Timestamp) -> bool {
        self.steady(now) >= task.spec.ends_at()
    }

    /// When the time of a task runs out, by the clock as it is set now.
    #[must_use]
    pub fn expires_at(&self, task: &Task) -> Timestamp {
        self.clock.shown(task.spec.ends_at())
    }

    /// Tasks that a sensor has not confirmed yet, in the order in which it gets them.
    #[must_use]
    pub fn owed(&self, ordinal: u32, now: Timestamp) -> Vec<&Task> {
        let mut owed: Vec<&Task> = self
            .candidates(ordinal)
            .filter_map(|number| self.tasks.get(&number))
            .filter(|task| task.may_send(ordinal, self.steady(now)))
            .collect();
        owed.sort_by_key(|task| (!task.spec.urgent, task.number));
        owed
    }

    /// Tasks that a sensor has confirmed, and of which no end is known; oldest first.
    pub fn held(&self, ordinal: u32) -> impl Iterator<Item = &Task> {
        let numbers = self.held.get(&ordinal).into_iter().flatten();
        numbers.filter_map(|number| self.tasks.get(number))
    }

    fn hold(&mut self, number: u64, ordinal: u32, is_held: bool) {
        if is_held {
            self.held.entry(ordinal).or_default().insert(number);
        } else if let Some(numbers) = self.held.get_mut(&ordinal) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.held.remove(&ordinal);
            }
        }
    }

    fn candidates(&self, ordinal: u32) -> impl Iterator<Item = u64> + '_ {
        let narrow = self.narrow.get(&ordinal).into_iter().flatten().copied();
        narrow.chain(self.wide.candidates(ordinal))
    }

    /// What to hand to this sensor now, if anything; it must be online.
    ///
    /// Store the offer's target, then hand the task to the link; if storing
    /// fails, give the offer back with [`Queue::revert`].
    pub fn offer(&mut self, ordinal: u32, now: Timestamp) -> Option<Offer> {
        if let Some(attempt) = self.unconfirmed.get(&ordinal).copied() {
            if !attempt.is_due(now) {
                return None;
            }
            let may_send = self.tasks.get(&attempt.number).is_some_and(|task| task.may_send(ordinal, self.steady(now)));
            self.settle(ordinal);
            if may_send {
                let wait = (attempt.wait * 2).min(RETRY_LONGEST);
                return self.send(attempt.number, ordinal, now, wait);
            }
        }
        let owed = self.owed(ordinal, now);
        let free: Vec<u64> = owed.into_iter().filter(|task| !task.is_held()).map(|task| task.number).collect();
        free.into_iter()
            .find(|number| self.pace_allows(*number, ordinal, now))
            .and_then(|number| self.send(number, ordinal, now, RETRY_FIRST))
    }

    fn pace_allows(&mut self, number: u64, ordinal: u32, now: Timestamp) -> bool {
        let Some(task) = self.tasks.get_mut(&number) else { return false };
        let is_retry = task.by_state[TargetState::Sent as usize].contains(ordinal);
        if is_retry {
            return true;
        }
        if task.spec.pace.max_in_flight.is_some_and(|most| task.in_flight() >= u64::from(most)) {
            return false;
        }
        task.spec.pace.max_per_second.is_none_or(|most| task.meter.take(now, most))
    }

    fn send(&mut self, number: u64, ordinal: u32, now: Timestamp, wait: Duration) -> Option<Offer> {
        let steady = self.steady(now);
        let task = self.tasks.get_mut(&number)?;
        if !task.may_send(ordinal, steady) {
            return None;
        }
        let before = task.known(ordinal).unwrap_or_default();
        let target = Target {
            state: TargetState::Sent,
            attempts: before.attempts.saturating_add(1),
            sent_at: if before.attempts == 0 { now } else { before.sent_at },
            ..before.clone()
        };
        task.put(ordinal, target.clone());
        let retry_at = now.saturating_add(wait);
        self.unconfirmed.insert(ordinal, Attempt { number, retry_at, wait });
        self.retries.entry(wait).or_default().insert((retry_at, ordinal));
        Some(Offer { number, ordinal, target, before })
    }

    /// Undoes an offer that could not be stored; the sensor is asked for again. What
    /// happened since stays: a later offer, a receipt, an end.
    pub fn revert(&mut self, offer: Offer, now: Timestamp) {
        self.postpone([offer.ordinal], now);
        if offer.before.attempts == 0
            && let Some(task) = self.tasks.get_mut(&offer.number)
        {
            task.meter.give_back();
        }
        let known = self.tasks.get(&offer.number).and_then(|task| task.known(offer.ordinal));
        let Some(known) = known.filter(|known| known.attempts == offer.target.attempts) else { return };
        if self.unconfirmed.get(&offer.ordinal).is_some_and(|attempt| attempt.number == offer.number) {
            self.settle(offer.ordinal);
        }
        let Some(task) = self.tasks.get_mut(&offer.number) else { return };
        match known.state {
            TargetState::Sent => task.put(offer.ordinal, offer.before),
            // Taken back, or out of time, while the store was asked: it still was not sent this time.
            TargetState::Removed | TargetState::Expired => {
                task.put(offer.ordinal, Target { state: known.state, ended_at: known.ended_at, ..offer.before });
            }
            _ => {}
        }
    }

    /// Sensors for which no offer was asked for that they may be owed, since the store
    /// refused something: they are asked for again after [`ASK_AGAIN`].
    pub fn postpone(&mut self, ordinals: impl IntoIterator<Item = u32>, now: Timestamp) {
        if self.postponed.is_empty() {
            self.ask_again_at = now.saturating_add(ASK_AGAIN);
        }
        self.postponed.extend(ordinals);
    }

    /// The postponed, once it is time: ask for each [`Queue::offer`] again.
    pub fn take_postponed(&mut self, now: Timestamp) -> RoaringBitmap {
        let is_due = self.ask_again_at <= now || self.ask_again_at > latest_retry(now, ASK_AGAIN);
        if is_due { std::mem::take(&mut self.postponed) } else { RoaringBitmap::new() }
    }

    fn settle(&mut self, ordinal: u32) {
        let Some(attempt) = self.unconfirmed.remove(&ordinal) else { return };
        if let Some(retries) = self.retries.get_mut(&attempt.wait) {
            retries.remove(&(attempt.retry_at, ordinal));
        }
    }

    /// Who is online and waits for a task: after its creation or resumption, or
    /// for every task that paces itself. In the order in which to offer it; `random`
    /// gives the order for tasks that ask for a random one.
    #[must_use]
    pub fn waiting(
        &self,
        number: u64,
        online: &RoaringBitmap,
        now: Timestamp,
        random: &mut dyn FnMut() -> u64,
    ) -> Vec<u32> {
        let Some(task) = self.tasks.get(&number) else { return Vec::new() };
        if task.is_held() || self.is_over(task, now) {
            return Vec::new();
        }
        let is_free = |ordinal: &u32| !self.unconfirmed.contains_key(ordinal);
        let mut waiting: Vec<u32> = ((&task.open & online) - &task.withheld).iter().filter(is_free).collect();
        if task.spec.pace.random_order {
            shuffle(&mut waiting, random);
        }
        waiting
    }

    /// Offers for some of those who wait for a task; each gets what it is owed
    /// first. Fewer than asked for if the pace of the task lets no more through.
    pub fn offer_each(&mut self, number: u64, ordinals: &[u32], now: Timestamp) -> Vec<Offer> {
        let is_paced = self.paced.contains(&number);
        let mut offers = Vec::with_capacity(if is_paced { 0 } else { ordinals.len() });
        for ordinal in ordinals {
            match self.offer(*ordinal, now) {
                Some(offer) => offers.push(offer),
                None if is_paced => break,
                None => {}
            }
        }
        offers
    }

    /// Whether a task paces itself: then [`Queue::paced`] names it until everyone was sent it.
    #[must_use]
    pub fn is_paced(&self, number: u64) -> bool {
        self.paced.contains(&number)
    }

    /// Tasks that pace themselves and still have someone to go to.
    #[must_use]
    pub fn paced(&self, now: Timestamp) -> Vec<u64> {
        let tasks = self.paced.iter().filter_map(|number| self.tasks.get(number));
        tasks.filter(|task| task.is_active(self.steady(now)) && !task.is_held()).map(|task| task.number).collect()
    }

    /// Sensors whose confirmation is overdue: ask for each [`Queue::offer`] again.
    /// A clock that is set back does not hold them up: none waits longer than was meant.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Vec<u32> {
        let of_wait = |(wait, retries): (&Duration, &BTreeSet<(Timestamp, u32)>)| {
            let late = retries.range(..=(now, u32::MAX));
            let held_up = retries.range((Bound::Excluded((latest_retry(now, *wait), u32::MAX)), Bound::Unbounded));
            late.chain(held_up).map(|(_, ordinal)| *ordinal).collect::<Vec<u32>>()
        };
        self.retries.iter().flat_map(of_wait).collect()
    }

    /// How long nothing of [`Queue::overdue`] and [`Queue::take_postponed`] is due.
    #[must_use]
    pub(crate) fn retry_in(&self, now: Timestamp) -> Option<Duration> {
        let firsts = self.retries.values().filter_map(|retries| retries.first().map(|(at, _)| *at));
        let again = (!self.postponed.is_empty()).then_some(self.ask_again_at);
        firsts.chain(again).map(|at| at.since(now)).min()
    }

    /// How long no task expires.
    #[must_use]
    pub(crate) fn expiry_in(&self, now: Timestamp) -> Option<Duration> {
        self.expiries.first().map(|(at, _)| at.since(self.steady(now)))
    }

    /// No time, if a task that paces itself may go on.
    #[must_use]
    pub(crate) fn pace_in(&self, now: Timestamp) -> Option<Duration> {
        let steady = self.steady(now);
        let mut tasks = self.paced.iter().filter_map(|number| self.tasks.get(number));
        tasks.any(|task| task.is_active(steady) && !task.is_held()).then_some(Duration::ZERO)
    }

    /// The link of a sensor is gone: what was sent on it is offered again on the next.
    pub fn disconnected(&mut self, ordinal: u32) {
        self.settle(ordinal);
    }

    /// What a report changes; `None` if it is known already. Store the target, then [`Queue::apply`] it.
    ///
    /// # Errors
    ///
    /// [`Fault`] if there is no such target.
    pub fn receipt(&self, ordinal: u32, report: &Report) -> Result<Option<(u64, Target)>, Fault> {
        let task = self.find(report.task_id).ok_or(Fault::UnknownTask)?;
        let known = task.known(ordinal).ok_or(Fault::NotATarget)?;
        Ok(advance(&known, report).map(|target| (task.number, target)))
    }

    /// What several reports of one sensor change, each seen after those before
    /// it. Reports that tell nothing new, or of no such target, are passed over.
    #[must_use]
    pub fn receipts(&self, ordinal: u32, reports: &[Report]) -> Vec<(u64, Target)> {
        let mut changed: BTreeMap<u64, Target> = BTreeMap::new();
        for report in reports {
            let Some(task) = self.find(report.task_id) else { continue };
            let known = changed.get(&task.number).cloned().or_else(|| task.known(ordinal));
            if let Some(target) = known.and_then(|known| advance(&known, report)) {
                changed.insert(task.number, target);
            }
        }
        changed.into_iter().collect()
    }

    /// Takes in a stored target. Tells whether the task holds itself back from
    /// now on, because too many failed; its control is then to be stored.
    pub fn apply(&mut self, number: u64, ordinal: u32, target: Target) -> bool {
        if target.state > TargetState::Sent
            && self.unconfirmed.get(&ordinal).is_some_and(|attempt| attempt.number == number)
        {
            self.settle(ordinal);
        }
        let Some(task) = self.tasks.get_mut(&number) else { return false };
        let is_held = matches!(target.state, TargetState::Confirmed | TargetState::Started);
        let is_new = task.targets.insert(ordinal);
        // Not `wide`: a dynamic task that expired while the store was asked is no longer in it.
        debug_assert!(!is_new || task.spec.dynamic, "only dynamic tasks gain targets");
        task.put(ordinal, target);
        let stops = task.stop_if_too_many_failed();
        let ends_at = task.spec.ends_at();
        let is_closed = !task.open.contains(ordinal);
        if is_closed && let Some(numbers) = self.narrow.get_mut(&ordinal) {
            numbers.retain(|have| *have != number);
            if numbers.is_empty() {
                self.narrow.remove(&ordinal);
            }
        }
        if is_new {
            self.wide.join(number, ordinal);
            // The task may have been closed while the store was asked: its new target is closed next.
            self.expiries.insert((ends_at, number));
        }
        self.hold(number, ordinal, is_held);
        stops
    }

    /// A sensor begins to match a dynamic task: the target to store and apply.
    #[must_use]
    pub fn join(&self, number: u64, ordinal: u32, now: Timestamp) -> Option<Target> {
        let task = self.tasks.get(&number)?;
        let returns = task.state_of(ordinal) == Some(TargetState::Removed)
            && task.known(ordinal).is_some_and(|target| target.attempts == 0)
            && !task.control.removed.contains(ordinal)
            && !task.withheld.contains(ordinal);
        let joins = task.spec.dynamic && !self.is_over(task, now) && (!task.targets.contains(ordinal) || returns);
        joins.then(Target::default)
    }

    /// A sensor stops matching a dynamic task: the target to store and apply, unless it was sent already.
    #[must_use]
    pub fn leave(&self, number: u64, ordinal: u32, now: Timestamp) -> Option<Target> {
        let task = self.tasks.get(&number)?;
        let leaves = task.spec.dynamic && task.state_of(ordinal) == Some(TargetState::Queued);
        leaves.then(|| ended(Target::default(), TargetState::Removed, now, "no longer matches the selector"))
    }

    /// Numbers of dynamic tasks that are not over.
    #[must_use]
    pub fn dynamic(&self, now: Timestamp) -> Vec<u64> {
        let is_live = |number: &&u64| self.tasks.get(number).is_some_and(|task| task.is_active(self.steady(now)));
        self.dynamic.iter().filter(is_live).copied().collect()
    }

    /// A sensor is gone, or has begun a new epoch: what this makes of its
    /// targets, to store and apply. What was never sent is removed; what was
    /// under way is interrupted if the journal that knew of it is lost, else removed.
    #[must_use]
    pub fn abandon(&self, ordinal: u32, now: Timestamp, reason: &str, journal_is_lost: bool) -> Vec<(u64, Target)> {
        let concerned = self.tasks.values().filter_map(|task| Some((task, task.known(ordinal)?)));
        concerned
            .filter_map(|(task, known)| {
                let state = match known.state {
                    TargetState::Queued => TargetState::Removed,
                    TargetState::Sent | TargetState::Confirmed | TargetState::Started if journal_is_lost => {
                        TargetState::Interrupted
                    }
                    // Stored as sent: were the clock set back and the server restarted, it would be
                    // offered to the next epoch.
                    TargetState::Expired if journal_is_lost && known.attempts > 0 => TargetState::Interrupted,
                    // No longer in flight, or a paced task would wait for it for ever; should the sensor
                    // be undeleted, its receipts override this.
                    TargetState::Sent | TargetState::Confirmed | TargetState::Started => TargetState::Removed,
                    _ => return None,
                };
                Some((task.number, ended(known, state, now, reason)))
            })
            .collect()
    }

    /// Closes what has run out of time; gives the tasks in which anything was closed.
    pub fn expire(&mut self, now: Timestamp) -> Vec<u64> {
        let (mut over, steady) = (Vec::new(), self.steady(now));
        while let Some((at, number)) = self.expiries.first().copied().filter(|(at, _)| *at <= steady) {
            self.expiries.remove(&(at, number));
            let Some(task) = self.tasks.get_mut(&number) else { continue };
            let had_open = !task.open.is_empty();
            task.expire(steady);
            if had_open {
                over.push(number);
            }
            self.unindex(number);
        }
        over
    }

    fn unindex(&mut self, number: u64) {
        self.dynamic.remove(&number);
        self.paced.remove(&number);
        if self.wide.remove(number) {
            return;
        }
        let Some(task) = self.tasks.get(&number) else { return };
        for ordinal in &task.targets {
            if let Some(numbers) = self.narrow.get_mut(&ordinal) {
                numbers.retain(|have| *have != number);
                if numbers.is_empty() {
                    self.narrow.remove(&ordinal);
                }
            }
        }
    }

    /// Forgets a task (retention).
    pub fn forget(&mut self, number: u64) {
        self.unindex(number);
        if let Some(task) = self.tasks.remove(&number) {
            self.by_id.remove(&task.spec.task_id);
            task.held().iter().for_each(|ordinal| self.hold(number, ordinal, false));
            self.expiries.remove(&(task.spec.ends_at(), number));
        }
    }
}

fn shuffle(items: &mut [u32], random: &mut dyn FnMut() -> u64) {
    for last in (1..items.len()).rev() {
        let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        items.swap(last, usize::try_from(random() % bound).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
