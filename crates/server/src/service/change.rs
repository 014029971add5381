//! Registering, subscribing, and their ends. Each is one commit, with its audit record and the message about it.

use super::interest::Interest;
use super::registry::{self, Registration, SERVICE, SERVICES_MAX, SUBSCRIBED, Subscribed};
use super::{Error, METADATA, Services, message, target};
use crate::access::{API_KEY, Caller};
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use crate::records::Batch;
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, Write};
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
    pub detects: Vec<String>,
    pub is_public: bool,
    pub allow_private: bool,
}

impl Changed<'_> {
    fn record(&self, oid: Oid, name: &str, message: &str, action: &str, detail: &Value, now: Timestamp) -> Record {
        event::audit(oid, self.actor, message, &json!({"type": "service", "name": name}), action, detail, now)
    }
}

impl Services {
    /// Registers a service.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Taken`], [`Error::TooMany`], and whatever the store says.
    pub async fn register(&self, oid: Oid, name: &str, wanted: Wanted, by: Changed<'_>) -> Result<(), Error> {
        let now = clock::now();
        let Wanted { url, secret, permissions, detects, is_public, allow_private } = wanted;
        let who = by.actor.identity.clone();
        let registration =
            Registration { url, secret, permissions, detects, is_public, allow_private, created_at: now, by: who };
        registration.check(name)?;
        // The address stays out of the audit: it may hold a secret.
        let detail = json!({
            "permissions": registration.permissions, "is_public": is_public, "allow_private": allow_private,
            "has_secret": registration.secret.is_some(),
        });
        let record = by.record(oid, name, "service registered", "register_service", &detail, now);
        let records = &self.records;
        let decide = || {
            if registry::find(records, oid, name).is_some() {
                return Err(Error::Taken(name.to_owned()));
            }
            // Where nobody sees it, a public name may be taken privately; two public ones cannot be told apart.
            if records.count(oid, SERVICE) >= SERVICES_MAX {
                return Err(Error::TooMany(SERVICES_MAX));
            }
            Ok(Batch::beside(record).put(oid, SERVICE, name, &registration, Expect::Absent)?)
        };
        records.change(decide).await?;
        self.ask_at_once(oid, name);
        Ok(())
    }

    /// Deletes a registration, with every subscription to it and whatever waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if the organization has registered none of this name; else whatever the store says.
    pub async fn delete(&self, oid: Oid, name: &str, by: Changed<'_>) -> Result<(), Error> {
        let now = clock::now();
        let record = by.record(oid, name, "service deleted", "delete_service", &json!({}), now);
        let (records, mut ended) = (&self.records, Vec::new());
        let decide = || {
            if !records.has(oid, SERVICE, name) {
                return Err(Error::Unknown(name.to_owned()));
            }
            let batch = Batch::beside(record).delete(oid, SERVICE, name).delete(oid, METADATA, name);
            ended = registry::subscribers(records, oid, name);
            let mut batch = batch.and(vec![self.feed.outbox.removal(oid, &target(name))]);
            for (of, subscribed) in &ended {
                batch = batch.delete(*of, SUBSCRIBED, name).delete(*of, API_KEY, &subscribed.key);
                batch = batch.and(vec![self.feed.outbox.removal(*of, &target(name))]);
            }
            Ok(batch)
        };
        records.change(decide).await?;
        for of in ended.iter().map(|(of, _)| *of).chain([oid]) {
            self.feed.outbox.forget(of, &target(name));
            self.reload(of);
        }
        self.conditions.lock().remove(&(oid, name.to_owned()));
        Ok(())
    }

    /// Subscribes an organization to a service that it sees, and has the service told.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Grant`] for a permission that the caller has not, and whatever the store says.
    pub async fn subscribe(&self, oid: Oid, name: &str, by: Changed<'_>) -> Result<(), Error> {
        let (now, records) = (clock::now(), &self.records);
        let mut posted = None;
        let decide = || {
            let found = registry::find(records, oid, name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
            let permissions = &found.registration.permissions;
            if let Some(missing) = permissions.iter().find(|permission| !by.caller.may(oid, permission)) {
                return Err(Error::Grant(missing.clone()));
            }
            let detail = json!({"permissions": permissions});
            let record = by.record(oid, name, "service subscribed", "subscribe_service", &detail, now);
            let old = records.get(oid, SUBSCRIBED, name);
            let batch = old.iter().fold(Batch::beside(record), |batch, old| batch.delete(oid, API_KEY, &old.key));
            let who = &by.actor.identity;
            let (batch, key) = registry::add_identity(batch, &self.secrets, oid, (name, permissions), (who, now))?;
            let subscribed = Subscribed { owner: found.owner, key, created_at: now, by: who.clone(), is_ending: false };
            let batch = batch.put(oid, SUBSCRIBED, name, &subscribed, Expect::Any)?;
            // Where periodic events stood is of the subscription before.
            let batch = if old.is_none() { batch.and(self.cron.removals(oid, name)) } else { batch };
            if old.is_some_and(|old| !old.is_ending) {
                return Ok(batch);
            }
            Ok(batch.and(self.told(&mut posted, oid, name, Etype::OrgInstall)))
        };
        records.change(decide).await?;
        self.reload(oid);
        posted.into_iter().for_each(super::Posted::deliver);
        Ok(())
    }

    /// Ends a subscription. Its identity ends when the service has been told: it may have to take things away.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], and whatever the store says.
    pub async fn unsubscribe(&self, oid: Oid, name: &str, by: Changed<'_>) -> Result<(), Error> {
        let (now, records) = (clock::now(), &self.records);
        let record = by.record(oid, name, "service unsubscribed", "unsubscribe_service", &json!({}), now);
        let mut posted = None;
        let decide = || {
            let old = registry::subscription(records, oid, name).ok_or_else(|| self.not_subscribed(oid, name))?;
            let ending = Subscribed { is_ending: true, ..old };
            let batch = Batch::beside(record).put(oid, SUBSCRIBED, name, &ending, Expect::Any)?;
            Ok::<_, Error>(batch.and(self.told(&mut posted, oid, name, Etype::OrgUninstall)))
        };
        records.change(decide).await?;
        self.reload(oid);
        posted.into_iter().for_each(super::Posted::deliver);
        Ok(())
    }

    /// Gives the identity of a subscription another key, with the permissions that the registration asks for now:
    /// tokens that were handed out end.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], [`Error::Grant`], and whatever the store says.
    pub async fn rekey(&self, oid: Oid, name: &str, by: Changed<'_>) -> Result<(), Error> {
        if registry::subscription(&self.records, oid, name).is_none() {
            return Err(self.not_subscribed(oid, name));
        }
        self.subscribe(oid, name, by).await
    }

    /// What stores a message about a subscription; it is in `posted` then.
    fn told(&self, posted: &mut Option<super::Posted>, oid: Oid, name: &str, etype: Etype) -> Vec<Write> {
        let event = message(name, etype, random::uuid(), &Map::new());
        vec![posted.insert(self.feed.outbox.put(oid, vec![event])).stored()]
    }

    /// Removes the identity of a subscription that has ended, now that the service was told.
    pub(super) async fn end(&self, oid: Oid, name: &str, delivered: Write) -> Result<(), Error> {
        let decide = || {
            let batch = Batch::beside(crate::intake::Beside::writes(vec![delivered]));
            Ok::<_, Error>(match self.records.get(oid, SUBSCRIBED, name).filter(|subscribed| subscribed.is_ending) {
                Some(ended) => batch.delete(oid, SUBSCRIBED, name).delete(oid, API_KEY, &ended.key),
                None => batch,
            })
        };
        self.records.change(decide).await
    }

    pub(super) fn reload_all(&self) {
        self.records.owners(SUBSCRIBED).into_iter().for_each(|oid| self.reload(oid));
    }

    /// Has the subscriptions of an organization told what they want to hear of now.
    pub(super) fn reload(&self, oid: Oid) {
        let subscribed = self.records.list(oid, SUBSCRIBED).into_iter();
        let interests = subscribed.filter(|(_, one)| !one.is_ending).filter_map(|(name, one)| {
            let registration = self.records.get(one.owner, SERVICE, &name)?;
            let metadata = self.metadata(one.owner, &name).unwrap_or_default();
            let detections = registration.detects.into_iter().chain(metadata.detect_subscriptions).collect();
            Some(Interest { target: target(&name), detections, callbacks: metadata.callbacks })
        });
        self.feed.set(oid, interests.collect());
    }
}
