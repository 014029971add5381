//! Configuration records: typed, cached in memory, written through to the store.
//!
//! Keys, outputs, subscriptions, hive records and the like are few and read on
//! every request, so all of them live in memory. A [`Kind`] ties the kind word
//! to the type of its records; a record is read out of its stored form once, but
//! where records may be large and others keep what they need of them.
//!
//! Each organization has a cache and a lock of its own: what one changes, and how
//! slowly, is nothing to the others. Only a change that reaches into organizations
//! which it does not know yet ([`Records::change_all`]) keeps all others out.

mod cache;
mod expiries;
mod owners;

use crate::damage::Damage;
use crate::intake::{self, Beside, Intake};
use cache::{Cache, Cached};
use expiries::Expiries;
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, Record, Store, StoreError, Write};
use owners::Owners;
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Records that belong to the server itself and not to an organization.
pub const SERVER: Oid = Oid(Uuid::nil());

/// What a record can be.
pub trait Kept: DeserializeOwned + Clone + Any + Send + Sync {}
impl<T: DeserializeOwned + Clone + Any + Send + Sync> Kept for T {}

/// A kind of records: its word in the store, the type of its records, and when one of them has had its time.
pub struct Kind<T> {
    word: &'static str,
    expires: fn(&T) -> Option<Timestamp>,
    held: Held,
}

/// How the records of a kind are held in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Read once: they are small, and asked for often.
    Read,
    /// As they are stored, and read whenever they are asked for. A rule takes thirteen times its text when it is read.
    Stored,
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
        Self { word, expires: |_| None, held: Held::Read }
    }

    /// The same of records that have their time, to be found by [`Records::expired`].
    #[must_use]
    pub const fn expiring(word: &'static str, expires: fn(&T) -> Option<Timestamp>) -> Self {
        Self { word, expires, held: Held::Read }
    }

    /// The same of records that are large, many and seldom asked for.
    #[must_use]
    pub const fn held_as_stored(self) -> Self {
        Self { held: Held::Stored, ..self }
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
    Put { body: String, expires: Option<Timestamp>, expect: Expect },
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

    /// Also what another batch changes.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.beside = self.beside.join(other.beside);
        self
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
        let to = To::Put { body, expires: (kind.expires)(value), expect };
        self.changes.push(Change { oid, kind: kind.word, key: key.to_owned(), to });
        Ok(self)
    }

    /// Also deletes a record.
    #[must_use]
    pub fn delete<T>(mut self, oid: Oid, kind: Kind<T>, key: &str) -> Self {
        self.changes.push(Change { oid, kind: kind.word, key: key.to_owned(), to: To::Gone });
        self
    }
}

/// All configuration records.
pub struct Records {
    intake: Arc<Intake>,
    owners: RwLock<HashMap<Oid, Arc<Owner>>>,
    by_kind: Owners,
    expiries: Expiries,
    /// Held alone by a change that may reach into any organization, and shared by all others.
    everyone: tokio::sync::RwLock<()>,
}

/// The records of one organization, or of the server.
#[derive(Default)]
struct Owner {
    cache: RwLock<Cache>,
    /// One change at a time, so that memory and store change in the same order.
    writing: tokio::sync::Mutex<()>,
}

impl Records {
    /// No records yet; they are changed through the door to the store.
    #[must_use]
    pub fn new(intake: Arc<Intake>) -> Self {
        Self {
            intake,
            owners: RwLock::default(),
            by_kind: Owners::default(),
            expiries: Expiries::default(),
            everyone: tokio::sync::RwLock::new(()),
        }
    }

    /// Loads all records of an organization, or of the server, but the damaged ones, which it tells.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn load(&self, store: &Store, oid: Oid) -> Result<Vec<Damage>, StoreError> {
        let (mut damaged, mut cache) = (Vec::new(), Cache::default());
        for record in store.read_blocking(|read| read.records(Some(oid), None))? {
            match Damage::of_record(&record) {
                Some(damage) => damaged.push(damage),
                None => cache.take_up(record),
            }
        }
        self.by_kind.loaded(oid, cache.kinds());
        let owner = Owner { cache: RwLock::new(cache), ..Owner::default() };
        self.owners.write().insert(oid, Arc::new(owner));
        Ok(damaged)
    }

    /// Claims an organization that whoever has it gave up, and loads its records anew; gives the damaged ones, or nothing if
    /// it cannot be claimed. No change that was decided upon what was known before is stored afterwards.
    ///
    /// # Errors
    ///
    /// Whatever the store says; it may be claimed then.
    pub async fn take_up(&self, store: &Store, oid: Oid) -> Result<Option<Vec<Damage>>, StoreError> {
        if !store.read(move |read| read.standing(oid)).await?.is_free {
            return Ok(None);
        }
        let _alone = self.everyone.write().await;
        match store.take_up(oid).await? {
            true => self.load(store, oid).map(Some),
            false => Ok(None),
        }
    }

    /// An organization is someone else's by now: nothing of it expires here any more. Its keys stay, so that who comes
    /// with one hears that, and not that the key is none.
    pub fn lose(&self, oid: Oid) {
        self.expiries.lose(oid);
    }

    /// Has [`Records::expired`] know the loaded records of a kind, too.
    pub fn index<T: Kept>(&self, oid: Oid, kind: Kind<T>) {
        let Some(owner) = self.owner(oid) else { return };
        for (key, cached) in owner.cache.write().of_kind_mut(kind.word).into_iter().flatten() {
            let expires = cached.value(kind, key).and_then(|value| (kind.expires)(&value));
            let before = std::mem::replace(&mut cached.expires, expires);
            self.expiries.replace((kind.word, oid, key), before, expires);
        }
    }

    /// Records of a kind whose time is over, of all organizations.
    #[must_use]
    pub fn expired<T>(&self, kind: Kind<T>, now: Timestamp) -> Vec<(Oid, String)> {
        self.expiries.until(kind.word, now)
    }

    fn owner(&self, oid: Oid) -> Option<Arc<Owner>> {
        self.owners.read().get(&oid).cloned()
    }

    fn owner_or_new(&self, oid: Oid) -> Arc<Owner> {
        self.owner(oid).unwrap_or_else(|| Arc::clone(self.owners.write().entry(oid).or_default()))
    }

    /// Looks at the cache of an organization.
    fn see<R>(&self, oid: Oid, look: impl FnOnce(&Cache) -> R) -> Option<R> {
        let owner = self.owner(oid)?;
        let cache = owner.cache.read();
        Some(look(&cache))
    }

    /// One record with its revision.
    pub fn get_with_revision<T: Kept>(&self, oid: Oid, kind: Kind<T>, key: &str) -> Option<(T, u64)> {
        self.see(oid, |cache| {
            let cached = cache.of_kind(kind.word)?.get(key)?;
            Some((Arc::unwrap_or_clone(cached.value(kind, key)?), cached.revision))
        })?
    }

    /// One record, without a copy of it.
    pub fn shared<T: Kept>(&self, oid: Oid, kind: Kind<T>, key: &str) -> Option<Arc<T>> {
        self.see(oid, |cache| cache.of_kind(kind.word)?.get(key)?.value(kind, key))?
    }

    /// One record.
    pub fn get<T: Kept>(&self, oid: Oid, kind: Kind<T>, key: &str) -> Option<T> {
        self.get_with_revision(oid, kind, key).map(|(record, _)| record)
    }

    /// Whether there is such a record.
    pub fn has<T>(&self, oid: Oid, kind: Kind<T>, key: &str) -> bool {
        let has = self.see(oid, |cache| cache.of_kind(kind.word).is_some_and(|records| records.contains_key(key)));
        has.unwrap_or(false)
    }

    /// All records of a kind, by key.
    pub fn list<T: Kept>(&self, oid: Oid, kind: Kind<T>) -> Vec<(String, T)> {
        let all = self.see(oid, |cache| {
            let records = cache.of_kind(kind.word).into_iter().flatten();
            let value =
                |(key, cached): (&String, &Cached)| Some((key.clone(), Arc::unwrap_or_clone(cached.value(kind, key)?)));
            records.filter_map(value).collect()
        });
        all.unwrap_or_default()
    }

    /// The keys of all records of a kind.
    pub fn keys<T>(&self, oid: Oid, kind: Kind<T>) -> Vec<String> {
        let keys =
            self.see(oid, |cache| cache.of_kind(kind.word).into_iter().flatten().map(|(key, _)| key.clone()).collect());
        keys.unwrap_or_default()
    }

    /// Takes the records of a kind out of memory, by key: for those that are read only when they are loaded.
    pub fn take<T: Kept>(&self, oid: Oid, kind: Kind<T>) -> Vec<(String, T)> {
        let records = self.owner(oid).and_then(|owner| owner.cache.write().take(kind.word));
        self.by_kind.note(kind.word, oid, false);
        let value = |(key, cached): (String, Cached)| {
            let value = Arc::unwrap_or_clone(cached.value(kind, &key)?);
            Some((key, value))
        };
        records.into_iter().flatten().filter_map(value).collect()
    }

    /// How many records of a kind there are.
    pub fn count<T>(&self, oid: Oid, kind: Kind<T>) -> usize {
        self.see(oid, |cache| cache.of_kind(kind.word).map_or(0, BTreeMap::len)).unwrap_or(0)
    }

    /// Decides about changes of the records of some owners, and makes them in one commit. Nothing of theirs changes
    /// between the decision and the commit, so `decide` may look at any of their records.
    ///
    /// # Errors
    ///
    /// What `decide` says; [`StoreError::Conflict`] if an `expect` does not hold; else whatever the store says.
    pub async fn change<E: From<StoreError>>(
        &self,
        owners: &[Oid],
        decide: impl FnOnce() -> Result<Batch, E>,
    ) -> Result<(), E> {
        let _not_alone = self.everyone.read().await;
        // In one order, whoever names them in which.
        let owners: BTreeSet<Oid> = owners.iter().copied().collect();
        let held: Vec<Arc<Owner>> = owners.iter().map(|oid| self.owner_or_new(*oid)).collect();
        let mut turns = Vec::with_capacity(held.len());
        for owner in &held {
            turns.push(owner.writing.lock().await);
        }
        let batch = decide()?;
        if let Some(change) = batch.changes.iter().find(|change| !owners.contains(&change.oid)) {
            let text = format!("a change of {} was decided without its lock", change.oid);
            return Err(StoreError::Failed(text).into());
        }
        Ok(self.commit(batch).await?)
    }

    /// The same for a change that finds out only while it is decided upon whose records it is about: meanwhile nobody
    /// changes any record.
    ///
    /// # Errors
    ///
    /// As [`Records::change`].
    pub async fn change_all<E: From<StoreError>>(&self, decide: impl FnOnce() -> Result<Batch, E>) -> Result<(), E> {
        let _alone = self.everyone.write().await;
        Ok(self.commit(decide()?).await?)
    }

    /// The caller holds the locks of all whose records are changed.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(batch.changes.len());
        let mut after = Vec::with_capacity(batch.changes.len());
        for Change { oid, kind, key, to } in batch.changes {
            match to {
                To::Put { body, expires, expect } => {
                    let revision = self.revision(oid, kind, &key).saturating_add(1);
                    let record = Record { oid, kind: kind.to_owned(), key: key.clone(), body: body.clone(), revision };
                    writes.push(Write::PutRecord { record, expect });
                    after.push((oid, kind, key, Some(Cached::new(body, revision, expires))));
                }
                To::Gone => {
                    writes.push(Write::DeleteRecord { oid, kind, key: key.clone() });
                    after.push((oid, kind, key, None));
                }
            }
        }
        self.intake.commit(batch.beside.and(writes)).await?;
        for (oid, kind, key, cached) in after {
            let expires = cached.as_ref().and_then(|cached| cached.expires);
            let owner = self.owner_or_new(oid);
            let mut cache = owner.cache.write();
            let before = cache.replace(kind, &key, cached);
            self.by_kind.note(kind, oid, cache.of_kind(kind).is_some_and(|records| !records.is_empty()));
            drop(cache);
            self.expiries.replace((kind, oid, &key), before, expires);
        }
        Ok(())
    }

    /// 0 if there is no such record.
    pub(crate) fn revision(&self, oid: Oid, kind: &str, key: &str) -> u64 {
        let revision = |cache: &Cache| cache.of_kind(kind)?.get(key).map(|cached| cached.revision);
        self.see(oid, revision).flatten().unwrap_or(0)
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
        let mut revision = 0;
        let decide = || {
            revision = self.revision(oid, kind.word, key).saturating_add(1);
            Batch::beside(beside).put(oid, kind, key, value, expect)
        };
        self.change::<StoreError>(&[oid], decide).await?;
        Ok(revision)
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
        let mut was_there = false;
        let decide = || {
            was_there = self.has(oid, kind, key);
            Ok(if was_there { Batch::beside(beside).delete(oid, kind, key) } else { Batch::default() })
        };
        self.change::<StoreError>(&[oid], decide).await?;
        Ok(was_there)
    }

    /// Organizations that own at least one record of a kind, in their order.
    pub fn owners<T>(&self, kind: Kind<T>) -> Vec<Oid> {
        self.by_kind.of(kind.word)
    }
}
