//! The records of one owner in memory.

use super::{Held, Kept, Kind};
use muster_model::Timestamp;
use muster_store::Record;
use parking_lot::RwLock;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Records by kind and key.
#[derive(Default)]
pub(super) struct Cache(HashMap<String, BTreeMap<String, Cached>>);

/// One record.
pub(super) struct Cached {
    content: RwLock<Content>,
    pub(super) revision: u64,
    /// When its time is over, as far as [`super::Records::expired`] is to know.
    pub(super) expires: Option<Timestamp>,
}

enum Content {
    /// As it is stored: nobody has asked for it yet, or its kind is held so.
    Stored(String),
    Read(Arc<dyn Any + Send + Sync>),
    /// It cannot be read, which was told.
    Broken,
}

impl Cache {
    /// Takes up a stored record.
    pub(super) fn take_up(&mut self, Record { kind, key, body, revision, .. }: Record) {
        self.0.entry(kind).or_default().insert(key, Cached::new(body, revision, None));
    }

    /// Kinds of which there are records.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, records)| !records.is_empty()).map(|(kind, _)| kind.as_str())
    }

    pub(super) fn of_kind(&self, kind: &str) -> Option<&BTreeMap<String, Cached>> {
        self.0.get(kind)
    }

    pub(super) fn of_kind_mut(&mut self, kind: &str) -> Option<&mut BTreeMap<String, Cached>> {
        self.0.get_mut(kind)
    }

    pub(super) fn take(&mut self, kind: &str) -> Option<BTreeMap<String, Cached>> {
        self.0.remove(kind)
    }

    /// Puts a record, or takes it out; gives when the time of the one before was over.
    pub(super) fn replace(&mut self, kind: &str, key: &str, cached: Option<Cached>) -> Option<Timestamp> {
        let records = match self.0.get_mut(kind) {
            Some(records) => records,
            None => self.0.entry(kind.to_owned()).or_default(),
        };
        let before = match cached {
            Some(cached) => records.insert(key.to_owned(), cached),
            None => records.remove(key),
        };
        before?.expires
    }
}

impl Cached {
    /// One that is stored.
    pub(super) fn new(body: String, revision: u64, expires: Option<Timestamp>) -> Self {
        Self { content: RwLock::new(Content::Stored(body)), revision, expires }
    }

    /// What it holds; nothing if that cannot be read.
    pub(super) fn value<T: Kept>(&self, kind: Kind<T>, key: &str) -> Option<Arc<T>> {
        let read = match &*self.content.read() {
            Content::Read(value) => return Arc::clone(value).downcast().ok(),
            Content::Broken => return None,
            Content::Stored(body) => serde_json::from_str::<T>(body),
        };
        let (value, content) = match read {
            Ok(value) => {
                let value = Arc::new(value);
                (Some(Arc::clone(&value)), Content::Read(value))
            }
            Err(error) => {
                tracing::error!(kind = kind.word, key, %error, "a stored record cannot be read");
                (None, Content::Broken)
            }
        };
        if kind.held == Held::Read || value.is_none() {
            *self.content.write() = content;
        }
        value
    }
}
