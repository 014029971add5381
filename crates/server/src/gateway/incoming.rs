//! What becomes of a sensor's messages.

use super::lane::{Lane, Room, Work};
use super::owner::Attached;
use crate::held::Waiting;
use muster_wire::{Events, from_sensor};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Events that wait beside those at work. A sensor has 512 events or 1 MiB under way, so the
/// receipts that come behind them are read; what sends more is read no further.
const EVENTS_ROOM: Room = Room { messages: 512, bytes: 2 << 20 };

/// Everything else that waits: receipts mostly, of which a sensor sends many in one message.
const OTHERS_ROOM: Room = Room { messages: 16, bytes: 1 << 20 };

/// Whom the messages of a link come from.
pub(super) struct Incoming {
    pub(super) sensor: Arc<dyn Attached>,
    /// The messages of all links that wait.
    pub(super) waiting: Waiting,
}

impl Incoming {
    fn events(&self, events: Events) -> Work {
        self.other(from_sensor::Message::Events(events))
    }

    fn other(&self, message: from_sensor::Message) -> Work {
        Arc::clone(&self.sensor).heard(message)
    }
}

/// The two lanes of a link.
pub(super) struct Lanes {
    events: Lane<Events>,
    others: Lane<from_sensor::Message>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { events: Lane::new(EVENTS_ROOM), others: Lane::new(OTHERS_ROOM) }
    }
}

impl Lanes {
    /// Whether the link may read on.
    pub(super) fn have_room(&self, incoming: &Incoming) -> bool {
        let all = &incoming.waiting;
        self.events.has_room(all) && self.others.has_room(all)
    }

    /// Whether there is nothing to do.
    pub(super) fn are_idle(&self) -> bool {
        self.events.is_idle() && self.others.is_idle()
    }

    /// Takes a message of so many bytes.
    pub(super) fn put(&mut self, incoming: &Incoming, message: from_sensor::Message, bytes: usize) {
        let all = &incoming.waiting;
        match message {
            from_sensor::Message::Events(events) => {
                self.events.put(events, bytes, all, |events| incoming.events(events));
            }
            other => self.others.put(other, bytes, all, |message| incoming.other(message)),
        }
    }

    /// Goes on with the work; ready when a message was done with. Cancel safe: what was begun stays in its lane.
    pub(super) async fn work(&mut self, incoming: &Incoming) {
        poll_fn(|context| {
            let events = self.events.poll(context, |events| incoming.events(events));
            let others = self.others.poll(context, |message| incoming.other(message));
            if events.is_ready() || others.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// What must be done to its end although the link has ended: what receipts change is stored and applied as a
    /// whole. Events are not acknowledged, so the sensor tells them again.
    pub(super) fn into_work(self) -> Option<Work> {
        self.others.into_work()
    }
}
