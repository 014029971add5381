//! Configuration records: typed, cached in memory, written through to the store.
//!
//! Keys, outputs, subscriptions, hive records and the like are few and read on
//! every request, so all of them live in memory. A [`Kind`] ties the kind word
//! to the type of its records.

use crate::damage::Damage;
use crate::intake::{self, Beside, Intake};
use muster_model::Oid;
use muster_store::{Expect, Record, Store, StoreError, Write};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;
use uuid::Uuid;

/// Records that belong to the server itself and not to an organization.
pub const SERVER: Oid = Oid(Uuid::nil());

/// A kind of records: its word in the store, and the type of its records.
pub struct Kind<T> {
    word: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Kind<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kind<T> {}

impl<T> Kind<T> {
    /// A kind with this word.
    #[must_use]
    pub const fn new(word: &'static str) -> Self {
        Self { word, of: PhantomData }
    }

    /// The word in the store.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.word
    }

    /// A write of a record that is read only when the server starts: memory does not hear of it.
    pub(crate) fn write(self, oid: Oid, key: &str, body: String) -> Write {
        let record = Record { oid, kind: self.word.to_owned(), key: key.to_owned(), body, revision: 0 };
        Write::PutRecord { record, expect: Expect::Any }
    }

    /// A write that deletes such a record.
    pub(crate) fn removal(self, oid: Oid, key: &str) -> Write {
        Write::DeleteRecord { oid, kind: self.word, key: key.to_owned() }
    }
}

/// Changes of records that are stored in one commit, together with what belongs
/// to them, such as the audit record.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Change>,
    beside: Beside,
}

struct Change {
    oid: Oid,
    kind: &'static str,
    key: String,
    to: To,
}

enum To {
    Put { body: String, expect: Expect },
    Gone,
}

impl Batch {
    /// Nothing but what is beside the changes.
    #[must_use]
    pub fn beside(beside: impl Into<Beside>) -> Self {
        Self { changes: Vec::new(), beside: beside.into() }
    }

    /// Whether no record would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Also these writes, beside the changes.
    #[must_use]
    pub fn and(mut self, writes: Vec<Write>) -> Self {
        self.beside = self.beside.and(writes);
        self
    }

    /// Also these records, about the changes.
    #[must_use]
    pub fn about(mut self, records: Vec<intake::Record>) -> Self {
        self.beside = self.beside.about(records);
        self
    }

    /// Also creates or replaces a record.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the value cannot be written as JSON.
    pub fn put<T: Serialize>(
        mut self,
        oid: Oid,
        kind: Kind<T>,
        key: &str,
        value: &T,
        expect: Expect,
    ) -> Result<Self, StoreError> {
        let body = serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))?;
        self.changes.push(Change { oid, kind: kind.word, key: key.to_owned(), to: To::Put { body, expect } });
        Ok(self)
    }

    /// Also deletes a record.
    #[must_use]
    pub fn delete<T>(mut self, oid: Oid, kind: Kind<T>, key: &str) -> Self {
        self.changes.push(Change { oid, kind: kind.word, key: key.to_owned(), to: To::Gone });
        self
    }
}

type Cached = HashMap<(Oid, String), BTreeMap<String, Record>>;

/// All configuration records.
pub struct Records {
    intake: Arc<Intake>,
    cache: RwLock<Cached>,
    /// One change at a time, so that memory and store change in the same order.
    writing: tokio::sync::Mutex<()>,
}

impl Records {
    /// Loads all records of a store but the damaged ones, which it tells; they are changed through the door to it.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn load(store: &Store, intake: Arc<Intake>) -> Result<(Self, Vec<Damage>), StoreError> {
        let (mut cache, mut damaged) = (Cached::new(), Vec::new());
        for record in store.read_blocking(|read| read.records(None, None))? {
            match Damage::of_record(&record) {
                Some(damage) => damaged.push(damage),
                None => {
                    let kept = cache.entry((record.oid, record.kind.clone())).or_default();
                    kept.insert(record.key.clone(), record);
                }
            }
        }
        Ok((Self { intake, cache: RwLock::new(cache), writing: tokio::sync::Mutex::new(()) }, damaged))
    }

    /// One record with its revision.
    pub fn get_with_revision<T: DeserializeOwned>(&self, oid: Oid, kind: Kind<T>, key: &str) -> Option<(T, u64)> {
        let cache = self.cache.read();
        let record = cache.get(&(oid, kind.word.to_owned()))?.get(key)?;
        Some((parse(record)?, record.revision))
    }

    /// One record.
    pub fn get<T: DeserializeOwned>(&self, oid: Oid, kind: Kind<T>, key: &str) -> Option<T> {
        self.get_with_revision(oid, kind, key).map(|(record, _)| record)
    }

    /// Whether there is such a record.
    pub fn has<T>(&self, oid: Oid, kind: Kind<T>, key: &str) -> bool {
        self.cache.read().get(&(oid, kind.word.to_owned())).is_some_and(|records| records.contains_key(key))
    }

    /// All records of a kind, by key.
    pub fn list<T: DeserializeOwned>(&self, oid: Oid, kind: Kind<T>) -> Vec<(String, T)> {
        let cache = self.cache.read();
        let records = cache.get(&(oid, kind.word.to_owned()));
        records.into_iter().flatten().filter_map(|(key, record)| Some((key.clone(), parse(record)?))).collect()
    }

    /// Takes the records of a kind out of memory, by key: for those that are read only when the server starts.
    pub fn take<T: DeserializeOwned>(&self, oid: Oid, kind: Kind<T>) -> Vec<(String, T)> {
        let records = self.cache.write().remove(&(oid, kind.word.to_owned()));
        records.into_iter().flatten().filter_map(|(key, record)| Some((key, parse(&record)?))).collect()
    }

    /// How many records of a kind there are.
    pub fn count<T>(&self, oid: Oid, kind: Kind<T>) -> usize {
        self.cache.read().get(&(oid, kind.word.to_owned())).map_or(0, BTreeMap::len)
    }

    /// Decides about changes, and makes them in one commit. No record changes between
    /// the decision and the commit, so `decide` may look at any of them.
    ///
    /// # Errors
    ///
    /// What `decide` says; [`StoreError::Conflict`] if an `expect` does not hold; else whatever the store says.
    pub async fn change<E: From<StoreError>>(&self, decide: impl FnOnce() -> Result<Batch, E>) -> Result<(), E> {
        let _one_at_a_time = self.writing.lock().await;
        Ok(self.commit(decide()?).await?)
    }

    /// The caller holds `writing`.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(batch.changes.len());
        let mut after = Vec::with_capacity(batch.changes.len());
        for Change { oid, kind, key, to } in batch.changes {
            let place = (oid, kind.to_owned());
            match to {
                To::Put { body, expect } => {
                    let cache = self.cache.read();
                    let stored = cache.get(&place).and_then(|records| records.get(&key));
                    let revision = stored.map_or(0, |record| record.revision).saturating_add(1);
                    let record = Record { oid, kind: kind.to_owned(), key: key.clone(), body, revision };
                    writes.push(Write::PutRecord { record: record.clone(), expect });
                    after.push((place, key, Some(record)));
                }
                To::Gone => {
                    writes.push(Write::DeleteRecord { oid, kind, key: key.clone() });
                    after.push((place, key, None));
                }
            }
        }
        self.intake.commit(batch.beside.and(writes)).await?;
        let mut cache = self.cache.write();
        for (place, key, record) in after {
            let records = cache.entry(place).or_default();
            match record {
                Some(record) => drop(records.insert(key, record)),
                None => drop(records.remove(&key)),
            }
        }
        Ok(())
    }

    /// Creates or replaces a record, together with `beside` (such as the audit
    /// record) in one commit. Gives its revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if `expect` does not hold; else whatever the store says.
    pub async fn put<T: Serialize>(
        &self,
        oid: Oid,
        kind: Kind<T>,
        key: &str,
        value: &T,
        expect: Expect,
        beside: impl Into<Beside>,
    ) -> Result<u64, StoreError> {
        let batch = Batch::beside(beside).put(oid, kind, key, value, expect)?;
        let _one_at_a_time = self.writing.lock().await;
        self.commit(batch).await?;
        let cache = self.cache.read();
        let stored = cache.get(&(oid, kind.word.to_owned())).and_then(|records| records.get(key));
        Ok(stored.map_or(0, |record| record.revision))
    }

    /// Deletes a record, together with `beside`; tells whether it was there.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn delete<T>(
        &self,
        oid: Oid,
        kind: Kind<T>,
        key: &str,
        beside: impl Into<Beside>,
    ) -> Result<bool, StoreError> {
        let _one_at_a_time = self.writing.lock().await;
        if !self.has(oid, kind, key) {
            return Ok(false);
        }
        self.commit(Batch::beside(beside).delete(oid, kind, key)).await?;
        Ok(true)
    }

    /// Gives a record another key and content, together with `beside` in one commit.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if the new key is taken; else whatever the store says.
    pub async fn rename<T: Serialize>(
        &self,
        oid: Oid,
        kind: Kind<T>,
        (old, new): (&str, &str),
        value: &T,
        beside: impl Into<Beside>,
    ) -> Result<(), StoreError> {
        let batch = Batch::beside(beside).delete(oid, kind, old).put(oid, kind, new, value, Expect::Absent)?;
        self.change(|| Ok(batch)).await
    }

    /// Organizations that own at least one record of a kind.
    pub fn owners<T>(&self, kind: Kind<T>) -> Vec<Oid> {
        let cache = self.cache.read();
        let mut owners: Vec<Oid> = cache.keys().filter(|(_, word)| word == kind.word).map(|(oid, _)| *oid).collect();
        owners.sort();
        owners
    }
}

fn parse<T: DeserializeOwned>(record: &Record) -> Option<T> {
    match serde_json::from_str(&record.body) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(kind = record.kind, key = record.key, %error, "a stored record cannot be read");
            None
        }
    }
}
