//! What a push will do, worked out and checked before anything is touched.

use super::Rights;
use super::options::Options;
use crate::access::{self, Caller, Reach, Sight};
use crate::clock;
use crate::extension::{Error, Extensions};
use crate::hive::Hive;
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use crate::records::{Batch, Kept, Kind};
use crate::service::Program;
use muster_api_types::InfrastructureOperation;
use muster_model::Oid;
use muster_store::{Expect, Write};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Errors that a push tells, and elements that it passed over; whoever has more, mends these first.
const ERRORS_MAX: usize = 100;

/// Where the elements of a section are kept, and what changing them needs.
pub(super) struct Place<T> {
    /// Type of the operations.
    pub(super) element: &'static str,
    pub(super) kind: Kind<T>,
    pub(super) records_max: usize,
    pub(super) read: &'static str,
    pub(super) set: &'static str,
    pub(super) delete: &'static str,
    /// Message and action of audit records.
    pub(super) when_set: (&'static str, &'static str),
    pub(super) when_deleted: (&'static str, &'static str),
    /// `entity` of audit records, without the name.
    pub(super) entity: Value,
}

/// What the document wants of one element.
pub(super) struct Wanted<T> {
    /// Name in operations.
    pub(super) name: String,
    /// What is to be stored; `None` if that is what is stored already.
    pub(super) change: Option<T>,
}

impl<T> Wanted<T> {
    pub(super) fn new(name: impl Into<String>, change: Option<T>) -> Self {
        Self { name: name.into(), change }
    }
}

/// A plan in the making.
pub(super) struct Plan<'a> {
    pub(super) extensions: &'a Extensions,
    pub(super) oid: Oid,
    pub(super) options: &'a Options,
    pub(super) actor: &'a Actor,
    pub(super) caller: &'a Caller,
    rights: &'a Rights,
    planned: Planned,
}

/// What came of planning.
#[derive(Default)]
pub(super) struct Planned {
    /// In the order in which clients are told.
    pub(super) operations: Vec<InfrastructureOperation>,
    /// Why nothing may be done.
    pub(super) errors: Vec<String>,
    /// What was passed over, and why.
    pub(super) skipped: Vec<String>,
    pub(super) changes: Batch,
    pub(super) audit: Vec<Record>,
    /// To be stored in the same commit.
    pub(super) beside: Vec<Write>,
    /// Outputs that start over.
    pub(super) outputs: Vec<String>,
    /// Programs of others to which the organization is subscribed, and those of which the subscription ends.
    pub(super) begun: Vec<Program>,
    pub(super) ended: Vec<Program>,
    /// Records of hives, to be put in force.
    pub(super) records: Vec<(&'static Hive, String)>,
}

impl Planned {
    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.begun.is_empty() && self.ended.is_empty()
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        extensions: &'a Extensions,
        oid: Oid,
        options: &'a Options,
        rights: &'a Rights,
        (caller, actor): (&'a Caller, &'a Actor),
    ) -> Self {
        Self { extensions, oid, options, actor, caller, rights, planned: Planned::default() }
    }

    pub(super) fn done(self) -> Planned {
        self.planned
    }

    /// An element cannot be made as the document says; nothing will be.
    pub(super) fn error(&mut self, place: &str, text: &str) {
        if self.planned.errors.len() < ERRORS_MAX {
            self.planned.errors.push(format!("{place}: {text}"));
        }
    }

    /// There is nothing behind an element here: it is passed over, if that is asked for, and told.
    pub(super) fn unknown(&mut self, place: &str, text: &str) {
        if !self.options.skip_unknown {
            self.error(place, text);
        } else if self.planned.skipped.len() < ERRORS_MAX {
            self.planned.skipped.push(format!("{place}: {text}"));
        }
    }

    /// An element is not what it should be: told, and left out of the plan.
    pub(super) fn accept<V, E: Display>(&mut self, place: &str, result: Result<V, E>) -> Option<V> {
        result.map_err(|error| self.error(place, &error.to_string())).ok()
    }

    /// Whether the caller has a permission; without it, the push ends or passes over what needs it.
    pub(super) fn may(&self, permission: &str) -> Result<bool, Error> {
        match self.rights.may(permission) || self.options.ignore_inaccessible {
            true => Ok(self.rights.may(permission)),
            false => Err(access::Error::MissingPermission(permission.to_owned()).into()),
        }
    }

    /// Whether the caller has a permission, without which an element is refused and nothing passed over.
    pub(super) fn has(&self, permission: &str) -> bool {
        self.rights.may(permission)
    }

    /// Records of a hive are to be put in force after this push.
    pub(super) fn put_in_force(&mut self, hive: &'static Hive, keys: Vec<String>) {
        self.planned.records.extend(keys.into_iter().map(|key| (hive, key)));
    }

    /// The organization stays subscribed to a program of others.
    pub(super) fn stays(&mut self, element: &'static str, name: String) {
        self.tell(element, name, false, false);
    }

    /// The organization subscribes to one.
    pub(super) fn begin(&mut self, element: &'static str, name: String, program: Program) {
        self.tell(element, name, true, false);
        self.planned.begun.push(program);
    }

    /// A subscription to one ends.
    pub(super) fn end(&mut self, element: &'static str, name: String, program: Program) {
        self.tell(element, name, false, true);
        self.planned.ended.push(program);
    }

    /// These outputs start over after this push; the queues of some are emptied with it.
    pub(super) fn restart_output(&mut self, name: &str, write: Option<Write>) {
        self.planned.outputs.push(name.to_owned());
        self.planned.beside.extend(write);
    }

    /// Sets what is wanted by key, and deletes what goes: key and name. Tells the keys that really change.
    pub(super) fn mirror<T: Serialize + Kept>(
        &mut self,
        place: &Place<T>,
        wanted: BTreeMap<String, Wanted<T>>,
        goes: Vec<(String, String)>,
    ) -> Result<Vec<String>, Error> {
        let goes = if self.options.is_force { goes } else { Vec::new() };
        let mut changed = Vec::new();
        let mut count = self.extensions.records.count(self.oid, place.kind);
        for (key, Wanted { name, change }) in wanted {
            let Some(record) = change else {
                self.tell(place.element, name, false, false);
                continue;
            };
            if !self.may(place.set)? {
                continue;
            }
            let reach = Reach::of(&self.extensions.records, self.oid, self.actor);
            if let Err(error) = reach.require(place.kind, &key) {
                self.error(place.element, &error.to_string());
                continue;
            }
            let stored = self.extensions.records.get_with_revision(self.oid, place.kind, &key);
            let expect = stored.map_or(Expect::Absent, |(_, revision)| Expect::Revision(revision));
            count += usize::from(expect == Expect::Absent);
            let changes = std::mem::take(&mut self.planned.changes);
            let changes = reach.marked(changes, place.kind, &key)?;
            self.planned.changes = changes.put(self.oid, place.kind, &key, &record, expect)?;
            self.audit(place, &key, place.when_set);
            self.tell(place.element, name, true, false);
            changed.push(key);
        }
        for (key, name) in goes {
            // What flair keeps from the caller is in no document that they fetched.
            let reach = Reach::of(&self.extensions.records, self.oid, self.actor);
            let is_kept = reach.sight(place.kind, &key) != Sight::Whole || reach.require(place.kind, &key).is_err();
            if is_kept || !self.may(place.delete)? {
                continue;
            }
            count = count.saturating_sub(1);
            let changes = std::mem::take(&mut self.planned.changes);
            self.planned.changes = reach.unmarked(changes.delete(self.oid, place.kind, &key), place.kind, &key);
            self.audit(place, &key, place.when_deleted);
            self.tell(place.element, name, false, true);
            changed.push(key);
        }
        if count > place.records_max {
            let text = format!("there would be {count}; an organization has at most {}", place.records_max);
            self.error(place.element, &text);
        }
        Ok(changed)
    }

    fn tell(&mut self, element: &'static str, name: String, is_added: bool, is_removed: bool) {
        self.planned.operations.push(InfrastructureOperation {
            is_added,
            is_removed,
            name,
            element: element.to_owned(),
        });
    }

    fn audit<T>(&mut self, place: &Place<T>, key: &str, (message, action): (&str, &str)) {
        let mut entity = place.entity.clone();
        entity["name"] = json!(key);
        let detail = json!({"by": super::EXTENSION});
        let record = event::audit(self.oid, self.actor, message, &entity, action, &detail, clock::now());
        self.planned.audit.push(record);
    }
}
