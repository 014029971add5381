//! The server's end of one live link: a bounded queue of messages to the sensor.

use muster_model::Timestamp;
use muster_tasking::dispatch::LinkId;
use muster_wire::{FromServer, Goaway, SensorState, from_server};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Messages that may wait for one link. A sensor that does not read is cut off.
const WAITING_MAX: usize = 1_024;

/// Stands for an endpoint's clock that is not known: it is taken to be right.
const UNTOLD: i64 = i64::MIN;

/// Within how long so many sensors that are sent away come again: whoever they come to takes a thousand a second with
/// ease, and after a minute none of them should be missed any more.
const COME_AGAIN_EACH: Duration = Duration::from_millis(1);
const COME_AGAIN_MAX: Duration = Duration::from_secs(60);

/// Within which span so many sensors are to come again that are sent away together.
#[must_use]
pub fn come_again_within(sensors: usize) -> Duration {
    COME_AGAIN_EACH.saturating_mul(u32::try_from(sensors).unwrap_or(u32::MAX)).min(COME_AGAIN_MAX)
}

/// Messages on their way to one sensor.
pub struct Link {
    /// Tells this link from earlier ones of the same sensor.
    pub generation: u64,
    waiting: Mutex<VecDeque<FromServer>>,
    wake: Notify,
    has_acknowledgements: AtomicBool,
    closed: AtomicBool,
    held_back: AtomicU64,
    full: AtomicBool,
    /// Milliseconds that the endpoint's clock is ahead of this machine's time since boot. Neither changes when the
    /// server's clock is set. [`UNTOLD`] if the sensor does not tell it.
    endpoint_ahead_ms: AtomicI64,
}

impl Link {
    /// A link with nothing to say.
    #[must_use]
    pub fn new(generation: u64) -> Self {
        Self {
            generation,
            waiting: Mutex::new(VecDeque::new()),
            wake: Notify::new(),
            has_acknowledgements: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            held_back: AtomicU64::new(0),
            full: AtomicBool::new(false),
            endpoint_ahead_ms: AtomicI64::new(UNTOLD),
        }
    }

    /// Takes in what counts for this link of what its sensor says of itself.
    pub fn reported(&self, state: &SensorState, since_boot: Duration) {
        self.full.store(state.full, Ordering::Relaxed);
        let ahead_ms = if state.now_ms == 0 { UNTOLD } else { state.now_ms.saturating_sub(millis(since_boot)) };
        self.endpoint_ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Whether the sensor takes no more tasks now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Server time minus endpoint time, in milliseconds.
    #[must_use]
    pub fn clock_offset_ms(&self, now: Timestamp, since_boot: Duration) -> i64 {
        match self.endpoint_ahead_ms.load(Ordering::Relaxed) {
            UNTOLD => 0,
            ahead_ms => now.as_millis().saturating_sub(ahead_ms.saturating_add(millis(since_boot))),
        }
    }

    /// Its number for the dispatch machine.
    #[must_use]
    pub fn id(&self) -> LinkId {
        LinkId(self.generation)
    }

    /// Queues a message; a link whose queue is full is closed instead.
    pub fn send(&self, message: from_server::Message) {
        if self.queue(message) {
            self.wake();
        }
    }

    /// Queues a message that nobody waits for: the link may keep it for a moment, so that one write carries several.
    pub fn acknowledge(&self, message: from_server::Message) {
        if self.queue(message) {
            self.has_acknowledgements.store(true, Ordering::Release);
        }
    }

    /// Has what is queued written.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether acknowledgements were queued since the queue was taken last.
    #[must_use]
    pub fn has_acknowledgements(&self) -> bool {
        self.has_acknowledgements.load(Ordering::Acquire)
    }

    /// Whether there was room.
    fn queue(&self, message: from_server::Message) -> bool {
        let mut waiting = self.waiting.lock();
        let has_room = waiting.len() < WAITING_MAX;
        if has_room {
            waiting.push_back(FromServer { message: Some(message) });
        }
        drop(waiting);
        if !has_room {
            self.close();
        }
        has_room
    }

    /// Sends the sensor away: it connects again, here or elsewhere, within this span.
    pub fn send_away(&self, within: Duration) {
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        self.send(from_server::Message::Goaway(Goaway { within_ms }));
        self.close();
    }

    /// Ends the link once what is queued was written.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the link was told to end.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Counts events that wait, since the sensor sends more than it may.
    pub fn hold_back(&self, events: u64) {
        self.held_back.fetch_add(events, Ordering::Relaxed);
    }

    /// How many events had to wait so far.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Waits until there is something to do. Cancel safe: a wake-up is not lost.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes what is queued.
    pub fn take(&self) -> VecDeque<FromServer> {
        let mut waiting = self.waiting.lock();
        self.has_acknowledgements.store(false, Ordering::Release);
        std::mem::take(&mut waiting)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
