//! Flair: how a key stands to what others made, and others to what it made.
//!
//! It is written as tags in brackets at the end of a key's name, such as `my-key[segment][bulk]`. What such a key makes or
//! changes gets a mark, in the same commit, by which others and the key itself are held to it:
//!
//! * `lock`: only this key, or another of the same name, changes or deletes it;
//! * `secret`: others see that it is there, and not its content;
//! * `segment`: the key sees and changes only what it made itself;
//! * `bulk`: the key may call more often;
//! * `root`: neither `lock` nor `segment` hold it.
//!
//! Source: reference/service-protocol.md section 12.

use super::Error;
use crate::intake::Beside;
use crate::intake::event::Actor;
use crate::records::{Batch, Kind, Records};
use muster_model::Oid;
use muster_store::{Expect, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Marks of records, by the word of their kind and their key.
const MARK: Kind<Mark> = Kind::new("mark");

/// How often a key with `bulk` may call, as a multiple of what others may.
pub const BULK_CALLS: u32 = 10;

/// One flair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the module says what each means")]
pub enum Flair {
    Lock,
    Secret,
    Segment,
    Bulk,
    Root,
}

const WORDS: [(&str, Flair); 5] = [
    ("lock", Flair::Lock),
    ("secret", Flair::Secret),
    ("segment", Flair::Segment),
    ("bulk", Flair::Bulk),
    ("root", Flair::Root),
];

impl Flair {
    /// The flair of this name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, flair)| *flair)
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, flair)| *flair == self).map_or("", |(word, _)| word)
    }
}

/// The name of a key with its flair.
#[must_use]
pub fn with_flair(name: &str, flair: &[Flair]) -> String {
    flair.iter().fold(name.to_owned(), |name, flair| format!("{name}[{}]", flair.word()))
}

/// A name without the flair at its end, and that flair.
#[must_use]
pub fn without_flair(name: &str) -> (&str, BTreeSet<Flair>) {
    let (mut bare, mut all) = (name, BTreeSet::new());
    while let Some((before, word)) = bare.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        let Some(flair) = Flair::parse(word) else { break };
        all.insert(flair);
        bare = before.trim_end();
    }
    (bare, all)
}

/// What is noted of a record because of the flair of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Who made it; empty if that was somebody without flair.
    made_by: String,
    /// Whose flair holds others to it.
    held_by: String,
    is_locked: bool,
    is_secret: bool,
}

/// What somebody sees of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of it.
    Whole,
    /// That it is there.
    Outline,
    /// Nothing.
    Nothing,
}

/// How far somebody reaches in an organization.
pub struct Reach<'a> {
    records: &'a Records,
    oid: Oid,
    name: String,
    flair: BTreeSet<Flair>,
}

impl<'a> Reach<'a> {
    /// Of whoever acts. Users and rules have no flair.
    #[must_use]
    pub fn of(records: &'a Records, oid: Oid, actor: &Actor) -> Self {
        let (name, flair) = match actor.has_key() {
            true => without_flair(&actor.identity),
            // The server tidies up what it must.
            false if actor.is_server() => (actor.identity.as_str(), BTreeSet::from([Flair::Root])),
            false => (actor.identity.as_str(), BTreeSet::new()),
        };
        Self { records, oid, name: name.to_owned(), flair }
    }

    fn has(&self, flair: Flair) -> bool {
        self.flair.contains(&flair)
    }

    fn mark<T>(&self, kind: Kind<T>, key: &str) -> Mark {
        self.records.get(self.oid, MARK, &place(kind, key)).unwrap_or_default()
    }

    /// What is seen of a record.
    #[must_use]
    pub fn sight<T>(&self, kind: Kind<T>, key: &str) -> Sight {
        let mark = self.mark(kind, key);
        if self.has(Flair::Segment) && !self.has(Flair::Root) && mark.made_by != self.name {
            return Sight::Nothing;
        }
        if mark.is_secret && mark.held_by != self.name { Sight::Outline } else { Sight::Whole }
    }

    /// Checks that a record that is there may be changed or deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Unseen`], [`Error::Locked`].
    pub fn require<T>(&self, kind: Kind<T>, key: &str) -> Result<(), Error> {
        if self.has(Flair::Root) || !self.records.has(self.oid, kind, key) {
            return Ok(());
        }
        if self.sight(kind, key) == Sight::Nothing {
            return Err(Error::Unseen(key.to_owned()));
        }
        let mark = self.mark(kind, key);
        if mark.is_locked && mark.held_by != self.name {
            return Err(Error::Locked(key.to_owned(), mark.held_by));
        }
        Ok(())
    }

    /// Creates or replaces a record, with its mark, together with `beside` in one commit.
    ///
    /// # Errors
    ///
    /// As [`Reach::require`] and [`Records::put`].
    pub async fn put<T: Serialize, E: From<Error> + From<StoreError>>(
        &self,
        kind: Kind<T>,
        key: &str,
        value: &T,
        expect: Expect,
        beside: impl Into<Beside>,
    ) -> Result<(), E> {
        let decide = || {
            self.require(kind, key)?;
            Ok::<_, E>(self.marked(Batch::beside(beside), kind, key)?.put(self.oid, kind, key, value, expect)?)
        };
        self.records.change(&[self.oid], decide).await
    }

    /// Deletes a record with its mark, together with `beside`; tells whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Reach::require`] and [`Records::delete`].
    pub async fn delete<T, E: From<Error> + From<StoreError>>(
        &self,
        kind: Kind<T>,
        key: &str,
        beside: impl Into<Beside>,
    ) -> Result<bool, E> {
        let mut was_there = false;
        let decide = || {
            was_there = self.records.has(self.oid, kind, key);
            self.require(kind, key)?;
            let batch = if was_there { Batch::beside(beside).delete(self.oid, kind, key) } else { Batch::default() };
            Ok::<_, E>(self.unmarked(batch, kind, key))
        };
        self.records.change(&[self.oid], decide).await?;
        Ok(was_there)
    }

    /// Also marks a record that is about to be created or replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the mark cannot be written as JSON.
    pub fn marked<T>(&self, batch: Batch, kind: Kind<T>, key: &str) -> Result<Batch, StoreError> {
        let before = self.mark(kind, key);
        let (is_locked, is_secret) = (self.has(Flair::Lock), self.has(Flair::Secret));
        let mut mark = before.clone();
        if is_locked || is_secret {
            mark = Mark { held_by: self.name.clone(), is_locked, is_secret, ..mark };
        }
        let leaves_marks = is_locked || is_secret || self.has(Flair::Segment);
        if leaves_marks && !self.records.has(self.oid, kind, key) {
            mark.made_by.clone_from(&self.name);
        }
        if mark == before { Ok(batch) } else { batch.put(self.oid, MARK, &place(kind, key), &mark, Expect::Any) }
    }

    /// Also gives the mark of a record to the key under which it is about to be.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the mark cannot be written as JSON.
    pub fn moved<T>(&self, batch: Batch, kind: Kind<T>, (old, new): (&str, &str)) -> Result<Batch, StoreError> {
        match self.records.get(self.oid, MARK, &place(kind, old)) {
            Some(mark) => {
                let batch = self.unmarked(batch, kind, old);
                batch.put(self.oid, MARK, &place(kind, new), &mark, Expect::Any)
            }
            None => Ok(batch),
        }
    }

    /// Checks that whoever this is may make a key of this name: nobody gives more than they have.
    ///
    /// # Errors
    ///
    /// [`Error::Loosened`].
    pub fn require_key_name(&self, name: &str) -> Result<(), Error> {
        let (_, wanted) = without_flair(name);
        let is_looser = !wanted.contains(&Flair::Segment) || wanted.contains(&Flair::Root);
        if self.has(Flair::Segment) && is_looser { Err(Error::Loosened) } else { Ok(()) }
    }

    /// Also takes away the mark of a record that is about to be deleted.
    #[must_use]
    pub fn unmarked<T>(&self, batch: Batch, kind: Kind<T>, key: &str) -> Batch {
        let place = place(kind, key);
        if self.records.has(self.oid, MARK, &place) { batch.delete(self.oid, MARK, &place) } else { batch }
    }
}

fn place<T>(kind: Kind<T>, key: &str) -> String {
    format!("{}/{key}", kind.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flair_stands_in_brackets_at_the_end_of_a_name() {
        let set = |flair: &[Flair]| flair.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(without_flair("my-key[bulk]"), ("my-key", set(&[Flair::Bulk])));
        assert_eq!(without_flair("a [lock] [segment]"), ("a", set(&[Flair::Lock, Flair::Segment])));
        assert_eq!(without_flair("backup [prod]"), ("backup [prod]", set(&[])));
        assert_eq!(without_flair("[lock] a"), ("[lock] a", set(&[])));
        assert_eq!(without_flair("x]"), ("x]", set(&[])));
        let name = with_flair("service/a", &[Flair::Lock, Flair::Secret]);
        assert_eq!(name, "service/a[lock][secret]");
        assert_eq!(without_flair(&name), ("service/a", set(&[Flair::Lock, Flair::Secret])));
    }
}
