//! Links: ordered within one link, as TCP is; cut at any message; half open for a while.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use muster_wire::{from_sensor, from_server};

use crate::kernel::{Event, Kernel, LinkId, MS, Micros, SECOND, Way};

/// One direction of a link.
#[derive(Debug)]
struct Pipe<M> {
    under_way: VecDeque<M>,
    last_arrival: Micros,
    is_closed: bool,
}

impl<M: Clone> Pipe<M> {
    fn new() -> Self {
        Self { under_way: VecDeque::new(), last_arrival: 0, is_closed: false }
    }
}

/// One connection between a sensor process and a server.
#[derive(Debug)]
struct Wire {
    host: usize,
    server: u32,
    latency: (Micros, Micros),
    doubles_percent: u64,
    up: Pipe<from_sensor::Message>,
    down: Pipe<from_server::Message>,
}

/// All links.
pub struct Net {
    kernel: Rc<Kernel>,
    wires: BTreeMap<LinkId, Wire>,
    last: LinkId,
    /// Percent of links on which messages arrive twice.
    pub hostile_percent: u64,
    /// Links that were cut.
    pub cuts: u64,
}

impl Net {
    /// No links yet.
    #[must_use]
    pub fn new(kernel: Rc<Kernel>) -> Self {
        Self { kernel, wires: BTreeMap::new(), last: 0, hostile_percent: 0, cuts: 0 }
    }

    /// Connects a sensor process with the server.
    pub fn open(&mut self, host: usize, server: u32) -> LinkId {
        self.last += 1;
        let least = self.kernel.between(MS / 2, 150 * MS);
        let spread = if self.kernel.chance(20) { 5 * SECOND } else { 20 * MS };
        let doubles_percent = if self.kernel.chance(self.hostile_percent) { 30 } else { 0 };
        let wire = Wire {
            host,
            server,
            latency: (least, least + self.kernel.below(spread)),
            doubles_percent,
            up: Pipe::new(),
            down: Pipe::new(),
        };
        self.wires.insert(self.last, wire);
        self.last
    }

    /// The endpoint, and the incarnation of the server, that a link connects.
    #[must_use]
    pub fn ends(&self, link: LinkId) -> Option<(usize, u32)> {
        self.wires.get(&link).map(|wire| (wire.host, wire.server))
    }

    /// Links that can still carry something.
    #[must_use]
    pub fn live(&self) -> Vec<LinkId> {
        let is_live = |wire: &Wire| !wire.up.is_closed && !wire.down.is_closed;
        self.wires.iter().filter(|(_, wire)| is_live(wire)).map(|(id, _)| *id).collect()
    }

    /// Says something to the server.
    pub fn send_up(&mut self, link: LinkId, message: from_sensor::Message) {
        let Some(wire) = self.wires.get_mut(&link) else { return };
        let doubles = if matches!(message, from_sensor::Message::Hello(_)) { 0 } else { wire.doubles_percent };
        send(&self.kernel, &mut wire.up, wire.latency, doubles, (link, Way::Up), message);
    }

    /// Says something to the sensor.
    pub fn send_down(&mut self, link: LinkId, message: from_server::Message) {
        use from_server::Message::{Deliver, EventsAck, ReceiptsAck};
        let Some(wire) = self.wires.get_mut(&link) else { return };
        let may_double = matches!(message, Deliver(_) | ReceiptsAck(_) | EventsAck(_));
        let doubles = if may_double { wire.doubles_percent } else { 0 };
        send(&self.kernel, &mut wire.down, wire.latency, doubles, (link, Way::Down), message);
    }

    /// What arrives at the server.
    pub fn take_up(&mut self, link: LinkId) -> Option<from_sensor::Message> {
        self.wires.get_mut(&link)?.up.under_way.pop_front()
    }

    /// What arrives at the sensor.
    pub fn take_down(&mut self, link: LinkId) -> Option<from_server::Message> {
        self.wires.get_mut(&link)?.down.under_way.pop_front()
    }

    /// Cuts a link: some of what is under way still arrives, and each end learns of it in its own time.
    pub fn cut(&mut self, link: LinkId) {
        let server_late = if self.kernel.chance(30) { 95 * SECOND } else { 2 * SECOND };
        let sensor_late = if self.kernel.chance(20) { 40 * SECOND } else { SECOND };
        self.cuts += 1;
        self.end(link, self.kernel.below(server_late), self.kernel.below(sensor_late));
    }

    /// The server closes the link or dies: what it said still arrives, in part.
    pub fn close_down(&mut self, link: LinkId) {
        self.end(link, 0, self.kernel.below(SECOND));
    }

    /// The sensor closes the link or dies; a lost power supply is noticed late.
    pub fn close_up(&mut self, link: LinkId) {
        let late = if self.kernel.chance(15) { 95 * SECOND } else { SECOND };
        self.end(link, self.kernel.below(late), 0);
    }

    fn end(&mut self, link: LinkId, server_learns: Micros, sensor_learns: Micros) {
        let Some(wire) = self.wires.get_mut(&link) else { return };
        if close(&self.kernel, &mut wire.up) {
            let at = (self.kernel.now() + server_learns).max(wire.up.last_arrival);
            self.kernel.at(at, Event::Gone(link, Way::Up));
        }
        if close(&self.kernel, &mut wire.down) {
            let at = (self.kernel.now() + sensor_learns).max(wire.down.last_arrival);
            self.kernel.at(at, Event::Gone(link, Way::Down));
        }
    }
}

fn send<M: Clone>(
    kernel: &Kernel,
    pipe: &mut Pipe<M>,
    (least, most): (Micros, Micros),
    doubles_percent: u64,
    (link, way): (LinkId, Way),
    message: M,
) {
    if pipe.is_closed {
        return;
    }
    let copies = if kernel.chance(doubles_percent) { 2 } else { 1 };
    for _ in 0..copies {
        let arrival = (kernel.now() + kernel.between(least, most)).max(pipe.last_arrival);
        pipe.last_arrival = arrival;
        pipe.under_way.push_back(message.clone());
        kernel.at(arrival, Event::Arrive(link, way));
    }
}

/// Closes a direction; what is beyond a random message is lost. Tells whether it was open.
fn close<M>(kernel: &Kernel, pipe: &mut Pipe<M>) -> bool {
    let was_open = !std::mem::replace(&mut pipe.is_closed, true);
    if was_open {
        pipe.under_way.truncate(kernel.index(pipe.under_way.len() + 1));
    }
    was_open
}
