//! What becomes of a sensor's messages.

use super::events;
use super::lane::{Lane, Room, Work};
use crate::api::ApiError;
use crate::app::App;
use crate::clock;
use crate::link::Link;
use crate::organization::Place;
use crate::sensor;
use crate::tasking;
use muster_wire::{Events, TransferGrant, TransferRequest, from_sensor, from_server};
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
    pub(super) app: Arc<App>,
    pub(super) place: Place,
    pub(super) link: Arc<Link>,
}

impl Incoming {
    fn events(&self, events: Events) -> Work {
        let (app, place, link) = (Arc::clone(&self.app), self.place.clone(), Arc::clone(&self.link));
        Box::pin(async move { events::receive(&app, &place, &link, events).await })
    }

    /// Each in a box of its own size: a receipt must not allocate and move what only another message needs.
    fn other(&self, message: from_sensor::Message) -> Work {
        let (app, place, link) = (Arc::clone(&self.app), self.place.clone(), Arc::clone(&self.link));
        match message {
            from_sensor::Message::Receipts(receipts) => {
                Box::pin(async move { tasking::receive(&app.tasking, &place, &link, receipts).await })
            }
            from_sensor::Message::Sync(state) => {
                link.reported(&state, clock::since_boot());
                Box::pin(async move { sensor::reported(&app.sensors, &place, &state).await })
            }
            from_sensor::Message::Transfer(request) => Box::pin(async move { grant(&app, &place, &link, request) }),
            from_sensor::Message::Events(events) => self.events(events),
            from_sensor::Message::Live(report) => Box::pin(async move { app.live.heard(&place, report).await }),
            from_sensor::Message::Hello(_) => Box::pin(async move { link.close() }),
        }
    }
}

/// Answers a sensor that wants to move a file: it travels by HTTP, so a refusal has the status that it would have there.
pub fn grant(app: &App, place: &Place, link: &Link, request: TransferRequest) {
    let id = request.id;
    let grant = app.transfers.grant_to(place, request).unwrap_or_else(|error| {
        let error = ApiError::from(error);
        let status = u32::from(error.code.status());
        TransferGrant { id, status, error: error.message, ..TransferGrant::default() }
    });
    link.send(from_server::Message::Grant(grant));
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
        let all = &incoming.app.waiting;
        self.events.has_room(all) && self.others.has_room(all)
    }

    /// Takes a message of so many bytes.
    pub(super) fn put(&mut self, incoming: &Incoming, message: from_sensor::Message, bytes: usize) {
        let all = &incoming.app.waiting;
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
