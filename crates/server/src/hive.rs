//! Hives: versioned configuration records of organizations, such as rules and secrets.
//!
//! A write replaces the user's metadata as a whole or, without any, keeps it. Each
//! write changes the etag, by which clients find that they were overtaken. Rules and
//! lookups are checked before they are stored, and are in force when the write is answered.
//!
//! Source: reference/rest-api.md sections 7.5 and 8.

mod check;
mod error;
mod in_force;
mod lookup;
mod page;
mod record;
mod rights;
mod table;
mod webhook;

pub use check::{Checker, check, schema};
pub use error::Error;
pub use in_force::{InForce, Reloading};
pub use lookup::Lookups;
pub use page::{LISTING_BYTES_MAX, Page, Paging, page, whole};
pub use record::{Change, HiveRecord, SystemMetadata, UserMetadata};
pub use table::{
    CLOUD_SENSOR, DR_GENERAL, EXTENSION_CONFIG, FALSE_POSITIVES, HIVES, Hive, LOOKUPS, RULE_HIVES, SECRETS, Verb, find,
};
pub use webhook::Webhook;

use crate::access::{Reach, Secrets, Sight, to_hex};
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use crate::jobs::Jobs;
use crate::records::{Batch, Records};
use crate::service::Services;
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, StoreError};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 512;

/// Records in one hive of one organization: all of them are kept in memory.
pub const RECORDS_MAX: usize = 20_000;

/// How often expired records are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Latest expiry, in milliseconds: the end of the year 9999.
const EXPIRY_MAX_MS: i64 = 253_402_300_799_999;

/// Hive and key of a record that rules are made of.
pub(crate) type Place = (&'static str, String);

/// What hives need of the server.
pub struct Ports {
    /// The records.
    pub records: Arc<Records>,
    /// For the private seeds of the template function `anon`.
    pub secrets: Secrets,
    /// Puts rules in force also when nobody waits for it any more.
    pub jobs: Jobs,
    /// The rules that are in force.
    pub in_force: Arc<dyn InForce>,
    /// Extensions, which say whether their configuration is right.
    pub services: Arc<Services>,
}

/// The hives of all organizations.
pub struct Hives {
    records: Arc<Records>,
    secrets: Secrets,
    jobs: Jobs,
    in_force: Arc<dyn InForce>,
    services: Arc<Services>,
    /// One change of an organization's hives at a time, so that an etag is compared with what is replaced.
    changing: Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<()>>>>,
}

impl Hives {
    /// Hives over these records.
    #[must_use]
    pub fn new(Ports { records, secrets, jobs, in_force, services }: Ports) -> Self {
        Self { records, secrets, jobs, in_force, services, changing: Mutex::default() }
    }

    /// Waits until nobody changes a record of an organization; until the guard is dropped, nobody else will.
    pub async fn lock(&self, oid: Oid) -> tokio::sync::OwnedMutexGuard<()> {
        let of = Arc::clone(self.changing.lock().entry(oid).or_default());
        of.lock_owned().await
    }

    /// The stored lookups of an organization.
    #[must_use]
    pub fn lookups(&self, oid: Oid) -> Arc<Lookups> {
        self.in_force.lookups(oid)
    }

    /// Has services asked for what a rule names of theirs and is not known yet.
    pub async fn fetch_named(&self, oid: Oid, rule: &Value) {
        self.services.fetch_named(oid, rule).await;
    }

    /// Checks records against the stored lookups of an organization.
    #[must_use]
    pub fn checker(&self, oid: Oid) -> Checker {
        Checker { lookups: self.lookups(oid), anon_seed: self.secrets.anon_seed(oid) }
    }

    /// Notes that records have changed: they are in force after [`changed`].
    pub fn touch(&self, oid: Oid, hive: &Hive, key: &str) {
        self.in_force.touch(oid, hive, key);
    }
}

/// A record.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn get(hives: &Hives, hive: &Hive, oid: Oid, key: &str) -> Result<HiveRecord, Error> {
    hives.records.get(oid, hive.kind, key).ok_or_else(|| Error::NotFound(key.to_owned()))
}

/// A record, as far as somebody sees it: without its content, if a key with the flair secret made it.
///
/// # Errors
///
/// [`Error::NotFound`].
pub fn seen(hives: &Hives, hive: &Hive, oid: Oid, key: &str, by: &Actor) -> Result<HiveRecord, Error> {
    let record = get(hives, hive, oid, key)?;
    match Reach::of(&hives.records, oid, by).sight(hive.kind, key) {
        Sight::Whole => Ok(record),
        Sight::Outline => Ok(record.without_data()),
        Sight::Nothing => Err(Error::NotFound(key.to_owned())),
    }
}

/// All records of a hive that somebody sees, by key.
#[must_use]
pub fn list_seen(hives: &Hives, hive: &Hive, oid: Oid, by: &Actor) -> Vec<(String, HiveRecord)> {
    let reach = Reach::of(&hives.records, oid, by);
    let seen = |(key, record): (String, HiveRecord)| match reach.sight(hive.kind, &key) {
        Sight::Whole => Some((key, record)),
        Sight::Outline => Some((key, record.without_data())),
        Sight::Nothing => None,
    };
    list(hives, hive, oid).into_iter().filter_map(seen).collect()
}

/// All records of a hive, by key.
#[must_use]
pub fn list(hives: &Hives, hive: &Hive, oid: Oid) -> Vec<(String, HiveRecord)> {
    hives.records.list(oid, hive.kind)
}

/// Creates or changes a record; gives it as stored.
///
/// # Errors
///
/// If the content or the metadata is wrong, the etag does not match, metadata is
/// written to a record that is not there, or the hive is full; as [`changed`].
pub async fn set(
    hives: &Arc<Hives>,
    hive: &'static Hive,
    oid: Oid,
    key: &str,
    change: Change,
    actor: &Actor,
) -> Result<HiveRecord, Error> {
    let record = write(hives, hive, oid, key, change, actor).await?;
    changed(hives, oid).await?;
    Ok(record)
}

/// As [`set`], but what is written is in force only after [`changed`].
///
/// # Errors
///
/// As [`set`].
pub async fn write(
    hives: &Arc<Hives>,
    hive: &'static Hive,
    oid: Oid,
    key: &str,
    mut change: Change,
    actor: &Actor,
) -> Result<HiveRecord, Error> {
    if let Some(data) = change.data.take() {
        change.data = Some(check(hives, hive, oid, key, data, actor).await?);
    } else if change.usr_mtd.as_ref().is_some_and(|wanted| wanted.enabled)
        && let Ok(stored) = get(hives, hive, oid, key)
    {
        // It was right when it was set; what it refers to may be gone. Whoever replaces it meanwhile has it checked.
        check(hives, hive, oid, key, stored.data, actor).await?;
    }
    let _one_at_a_time = hives.lock(oid).await;
    let stored: Option<HiveRecord> = hives.records.get(oid, hive.kind, key);
    if stored.is_none() && hives.records.count(oid, hive.kind) >= RECORDS_MAX {
        return Err(Error::Full);
    }
    let record = after(hive, key, stored, change, actor)?;
    let detail = json!({"enabled": record.usr_mtd.enabled, "etag": record.sys_mtd.etag});
    let beside = audit(hive, oid, key, actor, ("hive record set", "set_hive_record", &detail));
    Reach::of(&hives.records, oid, actor).put::<_, Error>(hive.kind, key, &record, Expect::Any, beside).await?;
    hives.in_force.touch(oid, hive, key);
    Ok(record)
}

/// What a change makes of a record. The content is for the caller to check.
///
/// # Errors
///
/// If the key or the metadata is wrong, the etag does not match, or there is no content.
pub fn after(
    hive: &Hive,
    key: &str,
    stored: Option<HiveRecord>,
    change: Change,
    actor: &Actor,
) -> Result<HiveRecord, Error> {
    require_key(key)?;
    if let Some(etag) = change.etag.as_deref()
        && stored.as_ref().is_none_or(|stored| stored.sys_mtd.etag != etag)
    {
        return Err(Error::EtagMismatch);
    }
    let data = match (change.data, &stored) {
        (Some(data), _) => data,
        (None, Some(stored)) => stored.data.clone(),
        (None, None) => return Err(Error::NotFound(key.to_owned())),
    };
    let now = clock::now();
    let kept = stored.as_ref().map(|stored| stored.usr_mtd.clone());
    if let Some(wanted) = &change.usr_mtd {
        check_expiry(wanted.expiry, kept.as_ref().map_or(0, |kept| kept.expiry), now)?;
    }
    let fresh = || UserMetadata { enabled: hive.is_enabled_by_default, ..UserMetadata::default() };
    let usr_mtd = change.usr_mtd.or(kept).unwrap_or_else(fresh);
    Ok(HiveRecord { data, usr_mtd, sys_mtd: SystemMetadata::after(stored.map(|old| old.sys_mtd), actor, now) })
}

/// Gives a record another key; its history of authors goes with it.
///
/// # Errors
///
/// [`Error::NotFound`], or [`Error::KeyTaken`] if the new key is taken; as [`changed`].
pub async fn rename(
    hives: &Arc<Hives>,
    hive: &Hive,
    oid: Oid,
    (old, new): (&str, &str),
    actor: &Actor,
) -> Result<HiveRecord, Error> {
    require_key(new)?;
    let one_at_a_time = hives.lock(oid).await;
    seen(hives, hive, oid, old, actor)?;
    let mut record = get(hives, hive, oid, old)?;
    if old == new {
        return Ok(record);
    }
    if hives.records.has(oid, hive.kind, new) {
        return Err(Error::KeyTaken(new.to_owned()));
    }
    record.sys_mtd = SystemMetadata::after(Some(record.sys_mtd), actor, clock::now());
    let detail = json!({"new_name": new});
    let beside = audit(hive, oid, old, actor, ("hive record renamed", "rename_hive_record", &detail));
    let reach = Reach::of(&hives.records, oid, actor);
    let decide = || {
        reach.require(hive.kind, old)?;
        let batch =
            Batch::beside(beside).delete(oid, hive.kind, old).put(oid, hive.kind, new, &record, Expect::Absent)?;
        Ok::<_, Error>(reach.moved(batch, hive.kind, (old, new))?)
    };
    hives.records.change(&[oid], decide).await?;
    hives.in_force.touch(oid, hive, old);
    hives.in_force.touch(oid, hive, new);
    drop(one_at_a_time);
    changed(hives, oid).await?;
    Ok(record)
}

/// Deletes a record.
///
/// # Errors
///
/// [`Error::NotFound`], or as [`changed`].
pub async fn delete(hives: &Arc<Hives>, hive: &Hive, oid: Oid, key: &str, actor: &Actor) -> Result<(), Error> {
    erase(hives, hive, oid, key, actor).await?;
    changed(hives, oid).await
}

/// As [`delete`], but it is out of force only after [`changed`].
///
/// # Errors
///
/// As [`delete`].
pub async fn erase(hives: &Arc<Hives>, hive: &Hive, oid: Oid, key: &str, actor: &Actor) -> Result<(), Error> {
    let _one_at_a_time = hives.lock(oid).await;
    seen(hives, hive, oid, key, actor)?;
    let beside = audit(hive, oid, key, actor, ("hive record deleted", "delete_hive_record", &json!({})));
    Reach::of(&hives.records, oid, actor).delete::<_, Error>(hive.kind, key, beside).await?;
    hives.in_force.touch(oid, hive, key);
    Ok(())
}

/// Takes a record out of force because of what went wrong with it, and notes that on it. One that was written since it had
/// this etag, or is out of force already, stays as it is.
///
/// # Errors
///
/// [`Error::NotFound`], or what the store says.
pub async fn disable(
    hives: &Arc<Hives>,
    hive: &Hive,
    oid: Oid,
    key: &str,
    etag: &str,
    text: &str,
) -> Result<(), Error> {
    let one_at_a_time = hives.lock(oid).await;
    let mut record = get(hives, hive, oid, key)?;
    if record.sys_mtd.etag != etag || !record.usr_mtd.enabled {
        return Ok(());
    }
    let (actor, now) = (Actor::system(), clock::now());
    record.usr_mtd.enabled = false;
    record.sys_mtd = SystemMetadata {
        last_error: text.to_owned(),
        last_error_ts: now.as_millis(),
        ..SystemMetadata::after(Some(record.sys_mtd), &actor, now)
    };
    let detail = json!({"error": text});
    let beside = audit(hive, oid, key, &actor, ("hive record disabled", "disable_hive_record", &detail));
    hives.records.put(oid, hive.kind, key, &record, Expect::Any, beside).await?;
    hives.in_force.touch(oid, hive, key);
    drop(one_at_a_time);
    changed(hives, oid).await
}

/// Notes on a record what last went wrong with it. It stays the same record: its etag does not change.
pub async fn note_error(hives: &Hives, hive: &Hive, oid: Oid, key: &str, text: &str) {
    let _one_at_a_time = hives.lock(oid).await;
    let Ok(mut record) = get(hives, hive, oid, key) else { return };
    text.clone_into(&mut record.sys_mtd.last_error);
    record.sys_mtd.last_error_ts = clock::now().as_millis();
    if let Err(error) = hives.records.put(oid, hive.kind, key, &record, Expect::Any, Vec::new()).await {
        tracing::warn!(%oid, hive = hive.name, key, %error, "an error could not be noted on its record");
    }
}

fn audit(hive: &Hive, oid: Oid, key: &str, actor: &Actor, (message, action, detail): (&str, &str, &Value)) -> Record {
    let entity = json!({"type": "hive", "hive": hive.name, "name": key});
    event::audit(oid, actor, message, &entity, action, detail, clock::now())
}

/// Puts in force what was written and has not been yet.
///
/// # Errors
///
/// [`Error::NotInForce`]: what was written is stored, and the earlier rules are in force.
pub async fn changed(hives: &Arc<Hives>, oid: Oid) -> Result<(), Error> {
    if !hives.in_force.is_changed(oid) {
        return Ok(());
    }
    // Also when the caller does not wait for it: what is stored is in force.
    let reload = hives.jobs.spawn(hives.in_force.reload(oid));
    let failed = match reload.await {
        Ok(Some(Ok(()))) => return Ok(()),
        Ok(Some(Err(error))) => error.to_string(),
        Ok(None) => "the server is stopping".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::error!(%oid, error = failed, "changed rules could not be put in force; the earlier ones stay");
    Err(Error::NotInForce)
}

fn require_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
        return Err(Error::Key);
    }
    Ok(())
}

/// What is past may stay, so that an expiring record can still be disabled; it cannot be set anew.
fn check_expiry(wanted: i64, kept: i64, now: Timestamp) -> Result<(), Error> {
    if wanted == 0 || wanted == kept {
        return Ok(());
    }
    if !(0..=EXPIRY_MAX_MS).contains(&wanted) {
        return Err(Error::InvalidExpiry("expiry must be Unix time in milliseconds, or 0 for never"));
    }
    if wanted <= now.as_millis() {
        return Err(Error::InvalidExpiry("expiry is in the past; it is Unix time in milliseconds"));
    }
    Ok(())
}

/// A new etag: unlike any other, whatever was stored before.
fn new_etag() -> String {
    to_hex(&random::bytes::<16>())
}

/// Deletes records whose time has run out, for as long as the server runs.
pub async fn run(hives: Arc<Hives>) {
    let mut ticker = tokio::time::interval(SWEEP_EVERY);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticker.tick().await;
        if let Err(error) = sweep(&hives, clock::now()).await {
            tracing::warn!(%error, "expired records of hives could not be deleted");
        }
    }
}

/// Deletes records that have expired; gives their number.
///
/// # Errors
///
/// Whatever the store says.
pub async fn sweep(hives: &Arc<Hives>, now: Timestamp) -> Result<usize, StoreError> {
    let actor = Actor::system();
    let mut deleted = 0;
    for hive in HIVES {
        let mut expired: BTreeMap<Oid, Vec<String>> = BTreeMap::new();
        for (oid, key) in hives.records.expired(hive.kind, now) {
            expired.entry(oid).or_default().push(key);
        }
        for (oid, keys) in expired {
            let one_at_a_time = hives.lock(oid).await;
            for key in keys {
                let is_over = |record: HiveRecord| record.expires_at().is_some_and(|at| at <= now);
                // It may have been changed meanwhile.
                if !hives.records.get(oid, hive.kind, &key).is_some_and(is_over) {
                    continue;
                }
                let about = ("hive record expired", "expire_hive_record", &json!({}));
                let beside = audit(hive, oid, &key, &actor, about);
                let reach = Reach::of(&hives.records, oid, &actor);
                let gone = reach.unmarked(Batch::beside(beside).delete(oid, hive.kind, &key), hive.kind, &key);
                hives.records.change::<StoreError>(&[oid], || Ok(gone)).await?;
                hives.in_force.touch(oid, hive, &key);
                deleted += 1;
            }
            drop(one_at_a_time);
            // What goes wrong is logged there, and tried again with the next change.
            let _ = changed(hives, oid).await;
        }
    }
    Ok(deleted)
}
