//! Tells a key that an object repeats, while the object is read.

use super::{Document, NodeIndex, Span};
use std::collections::HashSet;

/// Keys of one object that are compared with each other; those of larger objects are hashed.
const KEYS_COMPARED_MAX: usize = 48;

/// The keys of the object that is being read, to tell a repeated one.
#[derive(Default)]
pub(super) struct Keys {
    count: usize,
    /// Bits of the keys so far: one that brings a bit of its own is new without another look.
    bits: u64,
    /// All keys, once there are many.
    many: Option<HashSet<Box<str>>>,
}

impl Keys {
    #[inline]
    pub(super) fn is_repeated(&mut self, document: &Document, object: NodeIndex, key: Span) -> bool {
        let text = document.slice(key).as_bytes();
        let ends =
            text.first().zip(text.last()).map_or(0, |(first, last)| usize::from(*first) * 7 + usize::from(*last));
        let bit = 1 << ((text.len() * 5 + ends) % 64);
        self.count += 1;
        if self.bits & bit == 0 && self.count <= KEYS_COMPARED_MAX {
            self.bits |= bit;
            return false;
        }
        self.is_known(document, object, key)
    }

    /// Compares with each key so far, or looks among many; the bit of such a key is set already, or of no use any more.
    #[cold]
    fn is_known(&mut self, document: &Document, object: NodeIndex, key: Span) -> bool {
        if self.count > KEYS_COMPARED_MAX {
            let so_far = || document.keys_so_far(object).map(|have| document.slice(have).into()).collect();
            return !self.many.get_or_insert_with(so_far).insert(document.slice(key).into());
        }
        let is_same = |have: Span| have.len == key.len && document.slice(have) == document.slice(key);
        document.keys_so_far(object).any(is_same)
    }
}
