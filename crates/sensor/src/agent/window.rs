//! Which events are under way to the server.

use std::collections::VecDeque;

use muster_wire::{Event, Events, from_sensor};

use super::{Effect, Spool, StorageError};

/// Events under way at most; enough to keep a link of 200 ms round trip busy.
const EVENTS_MAX: usize = 512;
/// Bytes under way at most, unless one event alone is longer.
const BYTES_MAX: usize = 1024 * 1024;
/// Events and bytes per message: a few frames, so that receipts are not held up.
const MESSAGE_EVENTS_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Events that were sent and are not acknowledged.
#[derive(Debug)]
pub(super) struct Window {
    acknowledged: u64,
    sent: u64,
    under_way: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Window {
    pub(super) fn new(acknowledged: u64) -> Self {
        Self { acknowledged, sent: acknowledged, under_way: VecDeque::new(), bytes: 0 }
    }

    /// Takes an acknowledgement; gives what it acknowledges in truth, if it is news.
    /// Nothing beyond what was sent can have been stored.
    pub(super) fn acknowledge(&mut self, seq: u64) -> Option<u64> {
        let seq = seq.min(self.sent);
        if seq <= self.acknowledged {
            return None;
        }
        self.acknowledged = seq;
        while let Some((_, bytes)) = self.under_way.pop_front_if(|(first, _)| *first <= seq) {
            self.bytes -= bytes;
        }
        Some(seq)
    }

    /// Forgets that anything is under way.
    pub(super) fn rewind(&mut self) {
        *self = Self::new(self.acknowledged);
    }

    /// Sends what has room.
    pub(super) fn fill(&mut self, spool: &mut impl Spool, effects: &mut Vec<Effect>) -> Result<(), StorageError> {
        while self.under_way.len() < EVENTS_MAX && self.bytes < BYTES_MAX {
            let events_max = MESSAGE_EVENTS_MAX.min(EVENTS_MAX - self.under_way.len());
            let events: Vec<Event> = spool.read_after(self.sent, events_max, MESSAGE_BYTES_MAX)?;
            let Some(last) = events.last() else { return Ok(()) };
            self.sent = last.seq;
            for event in &events {
                self.under_way.push_back((event.seq, event.body.len()));
                self.bytes += event.body.len();
            }
            effects.push(Effect::Send(from_sensor::Message::Events(Events { events })));
        }
        Ok(())
    }
}
