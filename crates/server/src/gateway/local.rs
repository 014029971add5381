//! The owner in the same process.

use super::lane::Work;
use super::owner::{Attached, Attaching, Owner};
use super::{admit, events};
use crate::clock;
use crate::detect::Detect;
use crate::intake::Intake;
use crate::link::Link;
use crate::live::Live;
use crate::meter::Meter;
use crate::organization::{Organizations, Place};
use crate::records::Records;
use crate::sensor::{self, Sensors};
use crate::tasking::{self, Tasking};
use crate::telemetry::Telemetry;
use crate::transfer::{self, Transfers};
use muster_wire::{Hello, TransferGrant, TransferRequest, from_sensor, from_server};
use std::net::IpAddr;
use std::sync::Arc;

/// A file travels by HTTP, so a refusal has the status and the text that it would have there.
pub type Refuse = fn(transfer::Error) -> (u16, String);

/// What the messages of sensors reach.
pub struct LocalOwner {
    pub(crate) organizations: Arc<Organizations>,
    pub(crate) records: Arc<Records>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) detect: Arc<Detect>,
    pub(crate) tasking: Arc<Tasking>,
    pub(crate) sensors: Sensors,
    pub(crate) live: Arc<Live>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) refuse: Refuse,
    pub(crate) telemetry: Telemetry,
    /// By installation key, and how many there may be.
    pub(crate) enrolments: Meter,
    pub(crate) enrolments_per_minute: u32,
    /// By sensor, and how many there may be.
    pub(crate) events: Meter,
    pub(crate) events_per_minute: u32,
}

impl Owner for LocalOwner {
    fn attach(self: Arc<Self>, hello: Hello, nonce: [u8; 32], source: Option<IpAddr>) -> Attaching {
        Box::pin(async move { admit::admit(&self, &hello, &nonce, source).await })
    }
}

/// A sensor of an organization of this process.
pub(super) struct LocalSensor {
    pub(super) owner: Arc<LocalOwner>,
    pub(super) place: Place,
    pub(super) link: Arc<Link>,
}

impl Attached for LocalSensor {
    fn welcomed(&self) {
        self.owner.live.arrived(&self.place);
    }

    /// Each in a box of its own size: a receipt must not allocate and move what only another message needs.
    fn heard(self: Arc<Self>, message: from_sensor::Message) -> Work {
        match message {
            from_sensor::Message::Receipts(receipts) => Box::pin(async move {
                tasking::receive(&self.owner.tasking, &self.place, &self.link, receipts).await;
            }),
            from_sensor::Message::Sync(state) => {
                self.link.reported(&state, clock::since_boot());
                Box::pin(async move { sensor::reported(&self.owner.sensors, &self.place, &state).await })
            }
            from_sensor::Message::Transfer(request) => {
                Box::pin(async move { grant(&self.owner, &self.place, &self.link, request) })
            }
            from_sensor::Message::Events(events) => Box::pin(async move {
                events::receive(&self.owner, &self.place, &self.link, events).await;
            }),
            from_sensor::Message::Live(report) => {
                Box::pin(async move { self.owner.live.heard(&self.place, report).await })
            }
            from_sensor::Message::Hello(_) => Box::pin(async move { self.link.close() }),
        }
    }

    fn detach(self: Arc<Self>) -> Work {
        Box::pin(async move {
            sensor::went_offline(&self.owner.sensors, &self.place, &self.link).await;
            self.owner.live.lost(&self.place).await;
        })
    }
}

/// Answers a sensor that wants to move a file.
pub fn grant(owner: &LocalOwner, place: &Place, link: &Link, request: TransferRequest) {
    let id = request.id;
    let grant = owner.transfers.grant_to(place, request).unwrap_or_else(|error| {
        let (status, error) = (owner.refuse)(error);
        TransferGrant { id, status: status.into(), error, ..TransferGrant::default() }
    });
    link.send(from_server::Message::Grant(grant));
}
