//! Work that a sensor's messages make, done beside the loop of its link.
//!
//! A link has two lanes, so that what a rule's `wait` holds back holds back events
//! alone. In each lane one message is worked on at a time, in the order of arrival.
//! While nothing comes in, a lane owns no memory.

use crate::held::{Held, Waiting};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a message makes the server do.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How much may wait in a lane before its link reads no further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Messages of one kind: one at work, the others waiting.
pub(super) struct Lane<M> {
    room: Room,
    at_work: Option<Work>,
    waiting: VecDeque<(M, Held)>,
    bytes: usize,
}

impl<M> Lane<M> {
    pub(super) fn new(room: Room) -> Self {
        Self { room, at_work: None, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Whether the link may read on: what it reads may be for this lane.
    pub(super) fn has_room(&self, all: &Waiting) -> bool {
        self.waiting.is_empty()
            || (self.waiting.len() < self.room.messages && self.bytes < self.room.bytes && !all.is_full())
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.at_work.is_none()
    }

    /// Takes a message of so many bytes: begins with it, or lets it wait for those before it.
    pub(super) fn put(&mut self, message: M, bytes: usize, all: &Waiting, begin: impl FnOnce(M) -> Work) {
        if self.at_work.is_none() {
            self.at_work = Some(begin(message));
        } else {
            self.bytes += bytes;
            self.waiting.push_back((message, all.0.hold(bytes)));
        }
    }

    /// Goes on with the work; ready when a message was done with. What was begun stays in the lane, so a caller
    /// may stop polling whenever it likes.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, begin: impl FnOnce(M) -> Work) -> Poll<()> {
        let Some(work) = &mut self.at_work else { return Poll::Pending };
        if work.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.at_work = self.waiting.pop_front().map(|(message, held)| {
            self.bytes -= held.bytes();
            begin(message)
        });
        if self.waiting.is_empty() {
            // Its buffer goes too: the next messages may be hours away.
            self.waiting = VecDeque::new();
        }
        Poll::Ready(())
    }

    /// The work that was begun. What waits is dropped: the sensor tells it again, since it was not acknowledged.
    pub(super) fn into_work(self) -> Option<Work> {
        self.at_work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::ALL_BYTES_MAX;
    use std::future::{pending, ready};

    const ROOM: Room = Room { messages: 3, bytes: 100 };

    fn endless(_: u8) -> Work {
        Box::pin(pending())
    }

    fn poll(lane: &mut Lane<u8>, begin: impl FnOnce(u8) -> Work) -> Poll<()> {
        lane.poll(&mut Context::from_waker(std::task::Waker::noop()), begin)
    }

    #[test]
    fn messages_are_worked_on_one_at_a_time_in_order() {
        let (all, mut begun) = (Waiting::default(), Vec::new());
        let mut lane = Lane::new(ROOM);
        for message in 1..=3 {
            lane.put(message, 10, &all, |message| {
                begun.push(message);
                Box::pin(ready(()))
            });
        }
        assert_eq!(begun, [1]);
        while poll(&mut lane, |message| {
            begun.push(message);
            Box::pin(ready(()))
        })
        .is_ready()
        {}
        assert_eq!(begun, [1, 2, 3]);
        assert!(lane.into_work().is_none());
    }

    #[test]
    fn a_full_lane_has_no_room_until_something_is_done_with() {
        let all = Waiting::default();
        for (messages, bytes) in [(3, 1), (1, 100)] {
            let mut lane = Lane::new(ROOM);
            lane.put(0, 1_000, &all, |_| Box::pin(ready(())));
            assert!(lane.has_room(&all), "what is at work does not wait");
            (0..messages).for_each(|_| lane.put(1, bytes, &all, endless));
            assert!(!lane.has_room(&all));
            assert!(poll(&mut lane, endless).is_ready());
            assert!(lane.has_room(&all));
        }
    }

    #[test]
    fn links_share_a_bound_and_give_back_what_they_took() {
        let all = Waiting::default();
        let room = Room { messages: 3, bytes: usize::MAX };
        let (mut one, mut other) = (Lane::new(room), Lane::new(room));
        for lane in [&mut one, &mut other] {
            lane.put(0, 1, &all, endless);
            lane.put(0, 1, &all, endless);
        }
        assert!(one.has_room(&all) && other.has_room(&all));
        one.put(0, ALL_BYTES_MAX, &all, endless);
        assert!(!other.has_room(&all), "the memory of the server is not that of one link");
        assert!(Lane::<u8>::new(room).has_room(&all), "a link with nothing waiting goes on");
        drop(one);
        assert!(other.has_room(&all));
        drop(other);
        assert_eq!(all.0.get(), 0);
    }
}
