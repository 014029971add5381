//! The server's end of a link; as `gateway/link.rs`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use muster_wire::{from_sensor, from_server};

use super::Node;
use crate::kernel::{Event, LinkId, MS};

/// Messages that may wait for one link.
const WAITING_MAX: usize = 1_024;

/// One connection as the server sees it.
pub struct ServerLink {
    /// The link; also tells it from earlier ones of the same sensor.
    pub id: LinkId,
    /// Boot id that the sensor reported.
    pub waiting: RefCell<VecDeque<from_server::Message>>,
    /// What arrived and was not looked at.
    pub heard: RefCell<VecDeque<from_sensor::Message>>,
    /// It was told to end.
    pub is_closed: Cell<bool>,
    /// The other end is gone.
    pub is_gone: Cell<bool>,
    /// The job that serves it.
    pub job: Cell<u64>,
}

impl ServerLink {
    /// A link with nothing to say.
    #[must_use]
    pub fn new(id: LinkId) -> Rc<Self> {
        Rc::new(Self {
            id,
            waiting: RefCell::default(),
            heard: RefCell::default(),
            is_closed: Cell::new(false),
            is_gone: Cell::new(false),
            job: Cell::new(0),
        })
    }

    /// Queues a message; a link whose queue is full is closed instead.
    pub fn send(&self, node: &Node, message: from_server::Message) {
        if self.waiting.borrow().len() >= WAITING_MAX {
            self.close(node);
            return;
        }
        self.waiting.borrow_mut().push_back(message);
        self.wake(node);
    }

    /// Ends the link once what is queued was written.
    pub fn close(&self, node: &Node) {
        self.is_closed.set(true);
        self.wake(node);
    }

    /// Lets its job look.
    pub fn wake(&self, node: &Node) {
        node.site.kernel.after(node.site.kernel.below(2 * MS), Event::Wake(self.job.get()));
    }
}
