//! Registering, subscribing, and their ends. Each is one commit, with its audit record and the message about it.

use super::interest::Interest;
use super::program::{Program, Protocol};
use super::registry::{self, Found, REGISTRATIONS_MAX, Registration, Subscribed};
use super::{Error, METADATA, SCHEMA, Services, message};
use crate::access::{API_KEY, Caller, Flair};
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use crate::records::Batch;
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, Write};
use muster_webhook::extension::{SUBSCRIBE, UNSUBSCRIBE};
use muster_webhook::service::Etype;
use serde_json::{Map, Value, json};

/// Who changes something.
#[derive(Clone, Copy)]
pub struct Changed<'a> {
    /// For audit records.
    pub actor: &'a Actor,
    /// What they may give to others.
    pub caller: &'a Caller,
}

/// What someone wants to register.
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "the fields are those of the registration")]
pub struct Wanted {
    pub url: String,
    pub secret: Option<String>,
    pub permissions: Vec<String>,
    pub flair: Vec<Flair>,
    pub detects: Vec<String>,
    pub is_public: bool,
    pub allow_private: bool,
    pub rate: Option<u32>,
}

impl Changed<'_> {
    /// The audit record of something that is done to a program: `verb` in the present, `done` in the past.
    fn record(
        &self,
        oid: Oid,
        program: &Program,
        (verb, done): (&str, &str),
        detail: &Value,
        now: Timestamp,
    ) -> Record {
        let word = program.protocol.word();
        let entity = json!({"type": word, "name": program.name});
        event::audit(oid, self.actor, &format!("{word} {done}"), &entity, &format!("{verb}_{word}"), detail, now)
    }
}

impl Services {
    /// Registers a program.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Taken`], [`Error::TooMany`], and whatever the store says.
    pub async fn register(&self, oid: Oid, program: &Program, wanted: Wanted, by: Changed<'_>) -> Result<(), Error> {
        let now = clock::now();
        let Wanted { url, secret, permissions, mut flair, detects, is_public, allow_private, rate } = wanted;
        if program.protocol == Protocol::Extension {
            flair.push(Flair::Bulk);
        }
        flair.sort_unstable();
        flair.dedup();
        let who = by.actor.identity.clone();
        let registration = Registration {
            url,
            secret,
            permissions,
            flair,
            detects,
            is_public,
            allow_private,
            rate,
            created_at: now,
            by: who,
        };
        registration.check(program)?;
        // The address stays out of the audit: it may hold a secret.
        let detail = json!({
            "permissions": registration.permissions, "flair": registration.flair, "is_public": is_public, "allow_private": allow_private,
            "has_secret": registration.secret.is_some(), "rate": rate,
        });
        let record = by.record(oid, program, ("register", "registered"), &detail, now);
        let records = &self.records;
        let decide = || {
            if registry::find(records, oid, program).is_some() {
                return Err(Error::Taken(program.clone()));
            }
            // Where nobody sees it, a public name may be taken privately; two public ones cannot be told apart.
            let registrations = program.protocol.registrations();
            if records.count(oid, registrations) >= REGISTRATIONS_MAX {
                return Err(Error::TooMany(program.protocol, REGISTRATIONS_MAX));
            }
            Ok(Batch::beside(record).put(oid, registrations, &program.name, &registration, Expect::Absent)?)
        };
        records.change_all(decide).await?;
        self.ask_at_once(oid, program);
        Ok(())
    }

    /// Deletes a registration, with every subscription to it and whatever waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if the organization has registered none of this name; else whatever the store says.
    pub async fn delete(&self, oid: Oid, program: &Program, by: Changed<'_>) -> Result<(), Error> {
        let now = clock::now();
        let record = by.record(oid, program, ("delete", "deleted"), &json!({}), now);
        let (records, mut ended) = (&self.records, Vec::new());
        let decide = || {
            let Program { protocol, name } = program;
            if !records.has(oid, protocol.registrations(), name) {
                return Err(Error::Unknown(program.clone()));
            }
            let batch = Batch::beside(record).delete(oid, protocol.registrations(), name);
            let batch = match protocol {
                Protocol::Service => batch.delete(oid, METADATA, name).and(self.resources.removals(oid, name)),
                Protocol::Extension => batch.delete(oid, SCHEMA, name),
            };
            ended = registry::subscribers(records, oid, program);
            let mut batch = batch.and(vec![self.feed.outbox.removal(oid, &program.target())]);
            for (of, subscribed) in &ended {
                batch = batch.delete(*of, protocol.subscriptions(), name).delete(*of, API_KEY, &subscribed.key);
                batch = batch.and(vec![self.feed.outbox.removal(*of, &program.target())]);
            }
            Ok(batch)
        };
        records.change_all(decide).await?;
        for of in ended.iter().map(|(of, _)| *of).chain([oid]) {
            self.feed.outbox.forget(of, &program.target());
            self.reload(of);
        }
        if let Some(of_owner) = self.conditions.lock().get_mut(&oid) {
            of_owner.remove(program);
        }
        Ok(())
    }

    /// Subscribes an organization to a program that it sees, and has the program told.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Grant`] for a permission that the caller has not, and whatever the store says.
    pub async fn subscribe(&self, oid: Oid, program: &Program, by: Changed<'_>) -> Result<(), Error> {
        let mut posted = Vec::new();
        self.records.change(&[oid], || self.begun(oid, program, by, &mut posted)).await?;
        self.subscriptions_changed(oid, posted);
        Ok(())
    }

    /// What subscribes an organization to a program; once it is stored, [`Services::subscriptions_changed`] is to hear of
    /// it.
    ///
    /// # Errors
    ///
    /// As [`Services::subscribe`].
    pub(crate) fn begun(
        &self,
        oid: Oid,
        program: &Program,
        by: Changed<'_>,
        posted: &mut Vec<super::Posted>,
    ) -> Result<Batch, Error> {
        let (now, records) = (clock::now(), &self.records);
        let (subscriptions, name) = (program.protocol.subscriptions(), program.name.as_str());
        let found = self.grantable(oid, program, by.caller)?;
        let permissions = &found.registration.permissions;
        let detail = json!({"permissions": permissions, "flair": found.registration.flair});
        let record = by.record(oid, program, ("subscribe", "subscribed"), &detail, now);
        let old = records.get(oid, subscriptions, name);
        let batch = old.iter().fold(Batch::beside(record), |batch, old| batch.delete(oid, API_KEY, &old.key));
        let (who, asked) = (&by.actor.identity, (program, &*found.registration));
        let (batch, key) = registry::add_identity(batch, &self.secrets, oid, asked, (who, now))?;
        let subscribed = Subscribed { owner: found.owner, key, created_at: now, by: who.clone(), is_ending: false };
        let batch = batch.put(oid, subscriptions, name, &subscribed, Expect::Any)?;
        // Where periodic events stood is of the subscription before.
        let batch = if old.is_none() { batch.and(self.cron.removals(oid, program)) } else { batch };
        match old.is_some_and(|old| !old.is_ending) {
            true => Ok(batch),
            false => Ok(batch.and(self.told(posted, oid, program, End::Begun))),
        }
    }

    /// The registration of a program, if it asks for nothing that somebody has not themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Grant`].
    pub(crate) fn grantable(&self, oid: Oid, program: &Program, caller: &Caller) -> Result<Found, Error> {
        let found = registry::find(&self.records, oid, program).ok_or_else(|| Error::Unknown(program.clone()))?;
        let mut permissions = found.registration.permissions.iter();
        match permissions.find(|permission| !caller.may(oid, permission)) {
            Some(missing) => Err(Error::Grant(program.protocol, missing.clone())),
            None => Ok(found),
        }
    }

    /// Has what subscriptions want put in force, and programs told of their ends, now that both are stored.
    pub(crate) fn subscriptions_changed(&self, oid: Oid, posted: Vec<super::Posted>) {
        self.reload(oid);
        posted.into_iter().for_each(super::Posted::deliver);
    }

    /// Ends a subscription. Its identity ends when the service has been told: it may have to take things away.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], and whatever the store says.
    pub async fn unsubscribe(&self, oid: Oid, program: &Program, by: Changed<'_>) -> Result<(), Error> {
        let mut posted = Vec::new();
        self.records.change(&[oid], || self.ended(oid, program, by, &mut posted)).await?;
        self.subscriptions_changed(oid, posted);
        Ok(())
    }

    /// What ends a subscription; as [`Services::begun`].
    ///
    /// # Errors
    ///
    /// As [`Services::unsubscribe`].
    pub(crate) fn ended(
        &self,
        oid: Oid,
        program: &Program,
        by: Changed<'_>,
        posted: &mut Vec<super::Posted>,
    ) -> Result<Batch, Error> {
        let record = by.record(oid, program, ("unsubscribe", "unsubscribed"), &json!({}), clock::now());
        let old = registry::subscription(&self.records, oid, program);
        let ending = Subscribed { is_ending: true, ..old.ok_or_else(|| self.not_subscribed(oid, program))? };
        let subscriptions = program.protocol.subscriptions();
        let batch = Batch::beside(record).put(oid, subscriptions, &program.name, &ending, Expect::Any)?;
        Ok(batch.and(self.told(posted, oid, program, End::Over)))
    }

    /// Gives the identity of a subscription another key, with the permissions that the registration asks for now:
    /// tokens that were handed out end.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], [`Error::Grant`], and whatever the store says.
    pub async fn rekey(&self, oid: Oid, program: &Program, by: Changed<'_>) -> Result<(), Error> {
        if registry::subscription(&self.records, oid, program).is_none() {
            return Err(self.not_subscribed(oid, program));
        }
        self.subscribe(oid, program, by).await
    }

    /// What stores a message about a subscription; it is in `posted` then.
    fn told(&self, posted: &mut Vec<super::Posted>, oid: Oid, program: &Program, end: End) -> Vec<Write> {
        let kind = match (program.protocol, end) {
            (Protocol::Service, End::Begun) => Etype::OrgInstall.to_string(),
            (Protocol::Service, End::Over) => Etype::OrgUninstall.to_string(),
            (Protocol::Extension, End::Begun) => SUBSCRIBE.to_owned(),
            (Protocol::Extension, End::Over) => UNSUBSCRIBE.to_owned(),
        };
        let event = message(program, &kind, random::uuid(), &Map::new());
        let mut message = self.feed.outbox.put(oid, vec![event], clock::now());
        let stored = message.stored();
        posted.push(message);
        vec![stored]
    }

    /// Removes the identity of a subscription that has ended, now that the program was told.
    pub(super) async fn end(&self, oid: Oid, program: &Program, delivered: Vec<Write>) -> Result<(), Error> {
        let (subscriptions, name) = (program.protocol.subscriptions(), program.name.as_str());
        let decide = || {
            let batch = Batch::beside(crate::intake::Beside::writes(delivered.clone()));
            let ended = self.records.get(oid, subscriptions, name).filter(|subscribed| subscribed.is_ending);
            Ok::<_, Error>(match ended {
                Some(ended) => batch.delete(oid, subscriptions, name).delete(oid, API_KEY, &ended.key),
                None => batch,
            })
        };
        self.records.change(&[oid], decide).await
    }

    pub(super) fn reload_all(&self) {
        self.records.owners(Protocol::Service.subscriptions()).into_iter().for_each(|oid| self.reload(oid));
    }

    /// Has the subscriptions of an organization told what they want to hear of now. Extensions hear of no records.
    pub(super) fn reload(&self, oid: Oid) {
        self.cron.stir();
        let subscribed = self.records.list(oid, Protocol::Service.subscriptions()).into_iter();
        let interests = subscribed.filter(|(_, one)| !one.is_ending).filter_map(|(name, one)| {
            let service = Program::service(&name);
            let registration = self.records.get(one.owner, Protocol::Service.registrations(), &name)?;
            let metadata = self.metadata(one.owner, &name).unwrap_or_default();
            let detections =
                registration.detects.into_iter().chain(metadata.detect_subscriptions.iter().cloned()).collect();
            Some(Interest { target: service.target(), detections, callbacks: metadata.callbacks.clone() })
        });
        self.feed.set(oid, interests.collect());
    }
}

/// An end of a subscription.
#[derive(Clone, Copy)]
enum End {
    Begun,
    Over,
}
