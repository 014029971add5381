//! The seam between the two halves of the gateway.
//!
//! The *edge* has the socket of a sensor; the *owner* has its organization and decides. What the edge knows of the owner
//! stands here, and it is all that the edge knows: on one node both are in one process.
//! Source: reference/cluster.md sections 5 and 16.

use super::lane::Work;
use crate::link::Link;
use muster_wire::{Hello, Welcome, from_sensor, from_server};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Whoever owns the organizations of sensors.
pub trait Owner: Send + Sync {
    /// Decides about a hello; `nonce` is what the sensor was to sign.
    fn attach(self: Arc<Self>, hello: Hello, nonce: [u8; 32], source: Option<IpAddr>) -> Attaching;
}

/// How an owner decided: the sensor has a link, or is answered this and has none.
pub type Attaching = Pin<Box<dyn Future<Output = Result<Admitted, Box<from_server::Message>>> + Send>>;

/// A sensor with its link.
pub struct Admitted {
    /// What the sensor says is told to it.
    pub sensor: Arc<dyn Attached>,
    /// What the owner has for the sensor comes out of it; already the current one.
    pub link: Arc<Link>,
    /// What to tell the sensor first.
    pub welcome: Welcome,
}

/// A sensor at its owner, for as long as it has this link.
pub trait Attached: Send + Sync {
    /// The sensor was welcomed: it hears what is said to it.
    fn welcomed(&self);

    /// Works on a message of the sensor.
    fn heard(self: Arc<Self>, message: from_sensor::Message) -> Work;

    /// The link is gone.
    fn detach(self: Arc<Self>) -> Work;
}
