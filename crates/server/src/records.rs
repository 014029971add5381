//! Configuration records: typed, cached in memory, written through to the store.
//!
//! Keys, outputs, subscriptions, hive records and the like are few and read on
//! every request, so all of them live in memory. A [`Kind`] ties the kind word
//! to the type of its records.

use muster_model::Oid;
use muster_store::{Expect, Record, Store, StoreError, Write};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
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

    /// A write of a record that is read only when the server starts: memory does not hear of it.
    pub(crate) fn write(self, oid: Oid, key: &str, body: String) -> Write {
        let record = Record { oid, kind: self.word.to_owned(), key: key.to_owned(), body, revision: 0 };
        Write::PutRecord { record, expect: Expect::Any }
    }
}

/// One of several changes that are made together.
pub struct RecordChange {
    kind: &'static str,
    key: String,
    /// Absent: the record goes.
    body: Option<String>,
    expect: Expect,
}

impl<T: Serialize> Kind<T> {
    /// Creates or replaces a record, if what is stored is still as expected.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the record is no JSON.
    pub fn put(self, key: &str, value: &T, expect: Expect) -> Result<RecordChange, StoreError> {
        let body = serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(RecordChange { kind: self.word, key: key.to_owned(), body: Some(body), expect })
    }
}

impl<T> Kind<T> {
    /// Deletes a record.
    #[must_use]
    pub fn delete(self, key: &str) -> RecordChange {
        RecordChange { kind: self.word, key: key.to_owned(), body: None, expect: Expect::Any }
    }
}

type Cached = HashMap<(Oid, String), BTreeMap<String, Record>>;

/// All configuration records.
pub struct Records {
    store: Store,
    cache: RwLock<Cached>,
    /// One change at a time, so that memory and store change in the same order.
    writing: tokio::sync::Mutex<()>,
}

impl Records {
    /// Loads all records.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn load(store: Store) -> Result<Self, StoreError> {
        let mut cache = Cached::new();
        for record in store.read_blocking(|read| read.records(None, None))? {
            cache.entry((record.oid, record.kind.clone())).or_default().insert(record.key.clone(), record);
        }
        Ok(Self { store, cache: RwLock::new(cache), writing: tokio::sync::Mutex::new(()) })
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

    /// How many records of a kind there are.
    pub fn count<T>(&self, oid: Oid, kind: Kind<T>) -> usize {
        self.cache.read().get(&(oid, kind.word.to_owned())).map_or(0, BTreeMap::len)
    }

    /// Creates or replaces a record, together with `beside` (such as the audit
    /// record) in one commit.
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
        beside: Vec<Write>,
    ) -> Result<u64, StoreError> {
        let body = serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))?;
        let _one_at_a_time = self.writing.lock().await;
        let place = (oid, kind.word.to_owned());
        let stored =
            self.cache.read().get(&place).and_then(|records| records.get(key)).map_or(0, |record| record.revision);
        let record =
            Record { oid, kind: kind.word.to_owned(), key: key.to_owned(), body, revision: stored.saturating_add(1) };
        let mut writes = vec![Write::PutRecord { record: record.clone(), expect }];
        writes.extend(beside);
        self.store.commit(writes).await?;
        let revision = record.revision;
        self.cache.write().entry(place).or_default().insert(key.to_owned(), record);
        Ok(revision)
    }

    /// Makes several changes of one organization, together with `beside`: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if one of them does not find what it expects; else whatever the store says.
    pub async fn change(&self, oid: Oid, changes: Vec<RecordChange>, beside: Vec<Write>) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().await;
        let (mut writes, mut made) = (Vec::with_capacity(changes.len() + beside.len()), Vec::new());
        for RecordChange { kind, key, body, expect } in changes {
            let place = (oid, kind.to_owned());
            let Some(body) = body else {
                writes.push(Write::DeleteRecord { oid, kind, key: key.clone() });
                made.push((place, key, None));
                continue;
            };
            let stored =
                self.cache.read().get(&place).and_then(|records| records.get(&key)).map_or(0, |old| old.revision);
            let record =
                Record { oid, kind: kind.to_owned(), key: key.clone(), body, revision: stored.saturating_add(1) };
            writes.push(Write::PutRecord { record: record.clone(), expect });
            made.push((place, key, Some(record)));
        }
        writes.extend(beside);
        self.store.commit(writes).await?;
        let mut cache = self.cache.write();
        for (place, key, record) in made {
            let records = cache.entry(place).or_default();
            match record {
                Some(record) => records.insert(key, record),
                None => records.remove(&key),
            };
        }
        Ok(())
    }

    /// Deletes a record, together with `beside`; tells whether it was there.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn delete<T>(&self, oid: Oid, kind: Kind<T>, key: &str, beside: Vec<Write>) -> Result<bool, StoreError> {
        let _one_at_a_time = self.writing.lock().await;
        if !self.has(oid, kind, key) {
            return Ok(false);
        }
        let mut writes = vec![Write::DeleteRecord { oid, kind: kind.word, key: key.to_owned() }];
        writes.extend(beside);
        self.store.commit(writes).await?;
        if let Some(records) = self.cache.write().get_mut(&(oid, kind.word.to_owned())) {
            records.remove(key);
        }
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
        mut beside: Vec<Write>,
    ) -> Result<(), StoreError> {
        beside.push(Write::DeleteRecord { oid, kind: kind.word, key: old.to_owned() });
        self.put(oid, kind, new, value, Expect::Absent, beside).await?;
        let _one_at_a_time = self.writing.lock().await;
        if let Some(records) = self.cache.write().get_mut(&(oid, kind.word.to_owned())) {
            records.remove(old);
        }
        Ok(())
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
