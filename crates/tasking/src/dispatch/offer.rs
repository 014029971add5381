//! Offering tasks to whom they are owed: stored as sent, then sent.

use super::effect::{Delivery, Effect, Fact, Message, Write};
use super::turns::JobId;
use super::{Dispatch, Flight, Work, random};
use crate::queue::Offer;
use muster_model::Timestamp;

/// Offers of the first commit: few, so that the first sensors do not wait for the last.
const OFFERS_FIRST: usize = 256;

/// Each further commit takes four times as many, up to this: a large roll-out must not queue for the store again and
/// again behind the receipts that it causes, and one commit must not keep receipts waiting for more than some tens of
/// milliseconds.
const OFFERS_MOST: usize = 8_192;

/// Facts about single targets are told of tasks of at most this many targets: beyond, the counts of the task say
/// more, and cost less.
pub(super) const TOLD_TARGETS_MAX: u64 = 10_000;

/// A list of sensors that are offered something, one part after the other.
pub(super) struct FanOut {
    /// The task, or whatever each is owed first.
    number: Option<u64>,
    waiting: Vec<u32>,
    /// The part that is under way.
    part: std::ops::Range<usize>,
    /// What was sent. Told at the end: records about it must not hold up the last ones.
    sent: Vec<Fact>,
}

impl Dispatch {
    /// Offers a task to everyone who is online and waits for it.
    pub(super) fn fan_out(&mut self, number: u64, now: Timestamp) {
        let seed = &mut self.seed;
        let waiting = self.known.queue.waiting(number, &self.known.online, now, &mut || random(seed));
        if !waiting.is_empty() {
            *self.fanning.entry(number).or_default() += 1;
            self.next_part(Box::new(FanOut { number: Some(number), waiting, part: 0..0, sent: Vec::new() }));
        }
    }

    /// Asks again for those who did not confirm in time, and those whose offer could not be stored.
    pub(super) fn retry(&mut self, now: Timestamp) {
        if self.is_retrying {
            return;
        }
        let overdue = self.known.queue.overdue(now);
        let (mut waiting, gone): (Vec<u32>, Vec<u32>) =
            overdue.into_iter().partition(|ordinal| self.known.online.contains(*ordinal));
        gone.into_iter().for_each(|ordinal| self.known.queue.disconnected(ordinal));
        let postponed = self.known.queue.take_postponed(now) & &self.known.online;
        if !postponed.is_empty() {
            waiting.extend(postponed);
            waiting.sort_unstable();
            waiting.dedup();
        }
        if !waiting.is_empty() {
            self.is_retrying = true;
            self.next_part(Box::new(FanOut { number: None, waiting, part: 0..0, sent: Vec::new() }));
        }
    }

    fn next_part(&mut self, mut fan: Box<FanOut>) {
        let size = if fan.part.end == 0 { OFFERS_FIRST } else { (fan.part.len() * 4).min(OFFERS_MOST) };
        let begin = fan.part.end;
        fan.part = begin..fan.waiting.len().min(begin + size);
        if fan.part.is_empty() {
            return self.end_fan_out(*fan);
        }
        self.turns.enter(fan.waiting[fan.part.clone()].to_vec(), Work::Offer(fan));
    }

    fn end_fan_out(&mut self, fan: FanOut) {
        match fan.number {
            None => self.is_retrying = false,
            Some(number) => {
                if let Some(count) = self.fanning.get_mut(&number) {
                    *count -= 1;
                    if *count == 0 {
                        self.fanning.remove(&number);
                    }
                }
            }
        }
        self.tell(fan.sent);
    }

    pub(super) fn offer_some(&mut self, job: JobId, fan: Box<FanOut>, now: Timestamp) {
        let part = fan.waiting[fan.part.clone()].iter().copied();
        let online: Vec<u32> = part.filter(|ordinal| self.known.online.contains(*ordinal)).collect();
        let queue = &mut self.known.queue;
        let offers = match fan.number {
            Some(number) => queue.offer_each(number, &online, now),
            None => online.iter().filter_map(|ordinal| queue.offer(*ordinal, now)).collect(),
        };
        if !offers.is_empty() {
            let writes = vec![Write::Targets(targets_of(&offers))];
            return self.commit(None, writes, Vec::new(), Flight::FanOut(job, fan, offers));
        }
        self.turns.leave(job);
        // If its pace lets no more through, the next tick looks again.
        if fan.number.is_some_and(|number| self.known.queue.is_paced(number)) {
            self.end_fan_out(*fan);
        } else {
            self.next_part(fan);
        }
    }

    pub(super) fn fanned_out(&mut self, job: JobId, mut fan: Box<FanOut>, offers: &[Offer], now: Timestamp) {
        fan.sent.extend(self.hand_over(offers, now));
        self.turns.leave(job);
        self.next_part(fan);
    }

    pub(super) fn fan_out_failed(&mut self, job: JobId, fan: FanOut, offers: Vec<Offer>, now: Timestamp) {
        self.revert(offers, now);
        self.turns.leave(job);
        self.known.queue.postpone(fan.waiting[fan.part.end..].iter().copied(), now);
        self.end_fan_out(fan);
    }

    /// Offers the sensors of a job what each is owed first, and lets go of them.
    pub(super) fn offer_next(&mut self, job: JobId, now: Timestamp) {
        let (online, queue) = (&self.known.online, &mut self.known.queue);
        let ordinals = self.turns.ordinals(job).iter().filter(|ordinal| online.contains(**ordinal));
        let offers: Vec<Offer> = ordinals.filter_map(|ordinal| queue.offer(*ordinal, now)).collect();
        if offers.is_empty() {
            self.turns.leave(job);
        } else {
            let writes = vec![Write::Targets(targets_of(&offers))];
            self.commit(None, writes, Vec::new(), Flight::Offers(job, offers));
        }
    }

    pub(super) fn offered(&mut self, job: JobId, offers: &[Offer], now: Timestamp) {
        let sent = self.hand_over(offers, now);
        self.turns.leave(job);
        self.tell(sent);
    }

    pub(super) fn revert(&mut self, offers: Vec<Offer>, now: Timestamp) {
        offers.into_iter().for_each(|offer| self.known.queue.revert(offer, now));
    }

    /// Hands offers that are stored to links. Gives what is told of it.
    fn hand_over(&mut self, offers: &[Offer], now: Timestamp) -> Vec<Fact> {
        let mut sent = Vec::new();
        let steady = self.known.queue.steady(now);
        for offer in offers {
            let Some(task) = self.known.queue.task(offer.number) else { continue };
            // It may have been taken back or have run out of time while the store was asked.
            if !task.may_send(offer.ordinal, steady) {
                continue;
            }
            let (Some(presence), Some(row)) = (self.links.get(&offer.ordinal), self.known.fleet.row(offer.ordinal))
            else {
                continue;
            };
            let ends_at = task.spec.ends_at();
            let delivery = Delivery {
                task_id: task.spec.task_id,
                epoch: row.epoch,
                command: task.spec.command.clone(),
                investigation_id: task.spec.investigation_id(),
                ends_at,
                lifetime: ends_at.since(steady),
                conditions: task.spec.conditions.clone(),
                urgent: task.spec.urgent,
            };
            self.out.push(Effect::Send(presence.link, Message::Deliver(Box::new(delivery))));
            if task.targets().len() <= TOLD_TARGETS_MAX {
                sent.push(Fact::Sent { task_id: task.spec.task_id, sid: row.sensor.sid, at: now });
            }
        }
        sent
    }
}

fn targets_of(offers: &[Offer]) -> Vec<(u64, u32, crate::target::Target)> {
    offers.iter().map(|offer| (offer.number, offer.ordinal, offer.target.clone())).collect()
}
