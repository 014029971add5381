//! The first organization, and the keys into it.
//!
//! Keys are stored as digests, so the plain API key is only in `DIR/env`. If
//! that file is gone, a new key is made; everything else is found in the store.

use super::environment::Environment;
use anyhow::{Context as _, anyhow};
use muster_model::{Iid, Oid, Timestamp};
use muster_server::access::{
    API_KEY, ApiKey, INSTALLATION_KEY, InstallationKeyRecord, from_hex, owner_permissions, to_hex,
};
use muster_server::app::App;
use muster_server::extension::{self, Subscription};
use muster_server::profile::{ORGANIZATION, ORGANIZATION_OWNER, Profile};
use muster_server::records::Batch;
use muster_server::{SERVER_NAME, clock, random};
use muster_store::Expect;
use muster_wire::InstallationKey;

/// Who made what `muster up` makes, as records show it.
const MAKER: &str = "muster up";

/// Who this server is to the one who started it.
pub struct Identity {
    /// First organization.
    pub oid: Oid,
    /// API key with all permissions.
    pub api_key: String,
    /// Text of an installation key.
    pub installation_key: String,
    /// Whether the organization was made just now.
    pub is_new: bool,
}

/// Finds the identity of a data directory, and makes what is missing.
///
/// # Errors
///
/// Whatever the store says.
pub async fn ensure(app: &App, before: Option<&Environment>) -> anyhow::Result<Identity> {
    let now = clock::now();
    let known = |name: &str| before.and_then(|environment| environment.get(name));
    let (oid, is_new) = organization(app, known("LC_OID"), now).await?;
    let api_key = api_key(app, oid, known("LC_API_KEY"), now).await?;
    let installation_key = installation_key(app, oid, known("MUSTER_INSTALL_KEY"), now).await?;
    Ok(Identity { oid, api_key, installation_key, is_new })
}

async fn organization(app: &App, known: Option<&str>, now: Timestamp) -> anyhow::Result<(Oid, bool)> {
    if let Some(oid) = known.and_then(|text| text.parse().ok()).filter(|oid| app.organization(*oid).is_some()) {
        return Ok((oid, false));
    }
    let stored = app.records.list(ORGANIZATION_OWNER, ORGANIZATION);
    let oldest = stored.into_iter().min_by_key(|(_, profile)| profile.created_at);
    if let Some((key, _)) = oldest {
        return Ok((key.parse().context("the store holds an organization without a proper id")?, false));
    }
    let oid = Oid(random::uuid());
    let profile = Profile { name: "muster".into(), created_at: now, sensor_quota: 0 };
    let subscribed = || {
        let subscription = Subscription { created_at: now, by: MAKER.into() };
        extension::first_subscriptions(Batch::default(), oid, &subscription)
    };
    app.create_organization_with(oid, &profile, subscribed).await?;
    Ok((oid, true))
}

async fn api_key(app: &App, oid: Oid, known: Option<&str>, now: Timestamp) -> anyhow::Result<String> {
    let is_known = |digest: &str| app.records.has(oid, API_KEY, digest);
    let is_alive = |key: &&str| is_known(&app.secrets.stored_digest(key.as_bytes(), is_known));
    if let Some(key) = known.filter(is_alive) {
        return Ok(key.to_owned());
    }
    let key = random::uuid().to_string();
    let record = ApiKey {
        name: MAKER.into(),
        permissions: owner_permissions(),
        by: MAKER.into(),
        created_at: now,
        allowed_ip_range: String::new(),
    };
    let digest = app.secrets.digest(key.as_bytes());
    app.records.put(oid, API_KEY, &digest, &record, Expect::Absent, Vec::new()).await?;
    Ok(key)
}

async fn installation_key(app: &App, oid: Oid, known: Option<&str>, now: Timestamp) -> anyhow::Result<String> {
    let known = known.and_then(|text| InstallationKey::from_text(text).ok()).map(|key| key.iid.to_string());
    let stored = known.and_then(|iid| Some((app.records.get(oid, INSTALLATION_KEY, &iid)?, iid)));
    let ours = || {
        let keys = app.records.list(oid, INSTALLATION_KEY).into_iter();
        keys.filter(|(_, record)| record.description == MAKER)
            .min_by_key(|(_, record)| record.created_at)
            .map(|(iid, record)| (record, iid))
    };
    let (record, iid) = match stored.or_else(ours) {
        Some(found) => found,
        None => {
            let iid = random::uuid().to_string();
            let record = InstallationKeyRecord {
                description: MAKER.into(),
                tags: Vec::new(),
                created_at: now,
                secret: to_hex(&random::bytes::<32>()),
                quota: 0,
                use_public_root_ca: false,
            };
            app.records.put(oid, INSTALLATION_KEY, &iid, &record, Expect::Absent, Vec::new()).await?;
            (record, iid)
        }
    };
    let iid: Iid = iid.parse().context("the store holds an installation key without a proper id")?;
    let secret = from_hex(&record.secret).ok_or_else(|| anyhow!("the stored installation key {iid} is damaged"))?;
    let key = InstallationKey {
        oid,
        iid,
        secret,
        address: app.address.for_sensors(),
        server_name: SERVER_NAME.into(),
        ca_der: app.pki.authority.to_vec(),
    };
    Ok(key.to_text())
}
