//! Bytes that are held in memory for others, counted together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes are held, by whoever shares this count.
#[derive(Clone, Default)]
pub struct HeldBytes(Arc<AtomicUsize>);

/// The share of one holder; given back when dropped.
pub struct Held {
    all: HeldBytes,
    bytes: usize,
}

impl HeldBytes {
    /// Counts so many more.
    #[must_use]
    pub fn hold(&self, bytes: usize) -> Held {
        let mut held = Held { all: self.clone(), bytes: 0 };
        held.grow(bytes);
        held
    }

    /// All of them now.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Held {
    /// The share itself.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds so many more; gives how many all hold then.
    pub fn grow(&mut self, bytes: usize) -> usize {
        self.bytes += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of messages that wait on all links together. When more wait, each link reads on only when it
/// has nothing waiting: a store that stands still must not fill the memory of the server.
pub const ALL_BYTES_MAX: usize = 256 << 20;

/// Bytes of messages that wait on all links of a server.
#[derive(Clone, Default)]
pub struct Waiting(pub HeldBytes);

impl Waiting {
    /// Whether links read on only while nothing of theirs waits.
    pub fn is_full(&self) -> bool {
        self.0.get() >= ALL_BYTES_MAX
    }
}
