//! Messages of one kind to one target that are put together, in runs that are a row each: ADR 38 says why.

use super::outbox::{Lane, Outbox};
use muster_model::{Oid, Timestamp};
use muster_store::{Delivery, RUN_MAX, Run, Tries, Write};
use std::sync::Arc;
use uuid::Uuid;

/// Messages of one kind to one target; none of them tells of an end of a subscription.
pub struct Alike<'a> {
    /// To whom: the name of a lane.
    pub target: &'a str,
    /// What they are about, in the words of the protocol.
    pub kind: &'a str,
    /// What they say, in their order: JSON text without line breaks.
    pub bodies: Vec<Vec<u8>>,
}

/// Runs on their way into the outbox.
pub struct PostedRuns {
    outbox: Arc<Outbox>,
    lane: Arc<Lane>,
    runs: Vec<Run>,
    /// The first message of each, and how many they are.
    firsts: Vec<(Delivery, usize)>,
    /// Messages for which there was no room.
    dropped: u64,
}

impl Outbox {
    /// Takes messages in, as far as there is room for whole runs: what is given has to be stored, and then delivered. `new_id` gives ids
    /// of which no two are alike.
    pub fn put_alike(
        self: &Arc<Self>,
        oid: Oid,
        Alike { target, kind, bodies }: Alike<'_>,
        now: Timestamp,
        mut new_id: impl FnMut() -> Uuid,
    ) -> PostedRuns {
        let lane = self.lane(oid, target);
        let (mut runs, mut firsts, mut dropped) = (Vec::new(), Vec::new(), 0);
        let mut bodies = bodies.into_iter();
        loop {
            let bodies: Vec<Vec<u8>> = bodies.by_ref().take(RUN_MAX).collect();
            let Some(longest) = bodies.iter().map(Vec::len).max() else { break };
            let (count, bytes) = (bodies.len() as u64, longest as u64);
            if !lane.backlog.lock().reserve(bodies.len(), bytes) {
                dropped += count;
                continue;
            }
            let (position, id) = (self.take_positions(oid, count), new_id());
            let (target, kind, tries) = (target.to_owned(), kind.to_owned(), Tries { due: now, ..Tries::default() });
            let first = Delivery { position, target, id, kind, at: now, bytes, tries };
            firsts.push((first.clone(), bodies.len()));
            runs.push(Run { first, bodies });
        }
        PostedRuns { outbox: Arc::clone(self), lane, runs, firsts, dropped }
    }
}

impl PostedRuns {
    /// What stores the messages; to be asked for once, and committed with what caused them.
    pub fn stored(&mut self) -> Write {
        Write::PutRuns { oid: self.lane.oid, runs: std::mem::take(&mut self.runs) }
    }

    /// The commit with these messages was answered: has them delivered.
    pub fn deliver(mut self) {
        let mut backlog = self.lane.backlog.lock();
        backlog.drop_some(self.dropped);
        self.firsts.drain(..).for_each(|(first, count)| backlog.insert_run(first, count));
        drop(backlog);
        self.lane.changed.notify_one();
        self.outbox.have_served(&self.lane);
    }
}

impl Drop for PostedRuns {
    fn drop(&mut self) {
        let mut backlog = self.lane.backlog.lock();
        for (first, count) in &self.firsts {
            (0..*count).for_each(|_| backlog.release(first.bytes, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::backlog::{Next, WAITING_MAX};
    use super::super::fate::{Fate, writes};
    use super::*;
    use muster_store::Store;
    use std::collections::BTreeSet;

    const OID: Oid = Oid(Uuid::from_u128(1));
    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn posted(outbox: &Arc<Outbox>, count: usize) -> PostedRuns {
        let bodies = (0..count).map(|number| format!("{{\"n\":{number}}}").into_bytes()).collect();
        let mut last = 0;
        outbox.put_alike(OID, Alike { target: "service/a", kind: "sensor_per_1h", bodies }, NOW, || {
            last += 1;
            Uuid::from_u128(last << 64)
        })
    }

    fn waiting(outbox: &Outbox) -> Vec<Delivery> {
        outbox.standing(OID, "service/a", usize::MAX).waiting
    }

    #[tokio::test]
    async fn messages_of_runs_wait_under_ids_of_their_own_and_are_the_same_after_a_restart() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        let mut runs = posted(&outbox, 2 * RUN_MAX + 3);
        store.commit(vec![runs.stored()]).await.expect("stored");
        assert!(waiting(&outbox).is_empty(), "nothing is begun that is not stored");
        runs.deliver();
        let before = waiting(&outbox);
        assert_eq!(before.iter().map(|one| one.id).collect::<BTreeSet<_>>().len(), 2 * RUN_MAX + 3);
        assert_eq!(waiting(&Outbox::load(&store).expect("loaded")), before);

        let lane = outbox.take_unserved(1).pop().expect("somebody serves it");
        let Next::Deliver(begun) = lane.next(NOW, 3, None) else { panic!("they are due") };
        let again = Fate::Retried(Tries { made: 1, due: NOW, ..Tries::default() });
        let fates = [Fate::Forgotten, again, Fate::Forgotten];
        let positions = begun.iter().map(|(delivery, _)| delivery.position);
        store.commit(writes(OID, positions.zip(&fates))).await.expect("stored");
        let restarted = waiting(&Outbox::load(&store).expect("loaded"));
        let ids = |all: &[Delivery]| all.iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(&restarted), [&ids(&before)[1..2], &ids(&before)[3..]].concat());
        assert_eq!(restarted.iter().map(|one| one.tries.made).sum::<u32>(), 1);
    }

    #[test]
    fn runs_that_were_not_stored_take_no_room_and_those_beyond_it_are_counted() {
        let outbox = Arc::new(Outbox::default());
        drop(posted(&outbox, 1_000));
        assert_eq!(outbox.room(OID, "service/a"), WAITING_MAX);
        posted(&outbox, WAITING_MAX + 3).deliver();
        // Of the last run, which is not whole, nothing is taken in.
        let (taken, room) = (WAITING_MAX / RUN_MAX * RUN_MAX, WAITING_MAX % RUN_MAX);
        assert_eq!((waiting(&outbox).len(), outbox.room(OID, "service/a")), (taken, room));
        assert_eq!(outbox.standing(OID, "service/a", 0).dropped, (room + 3) as u64);
    }
}
