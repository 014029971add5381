//! Organizations: what they are, where to reach them, how they are set up.
//! Source: reference/rest-api.md section 7.1.

mod schema;
mod settings;
mod standing;

pub use schema::event_types;

use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::access::{INSTALLATION_KEY, USER, USER_KEY, owner_permissions};
use crate::app::App;
use crate::config::is_published_host;
use crate::extension::{self, Subscription};
use crate::hive::{self, RULE_HIVES};
use crate::output::OUTPUT;
use crate::profile::{ORGANIZATION, ORGANIZATION_OWNER, Profile};
use crate::records::{Batch, SERVER};
use crate::{clock, random};
use http::header;
use muster_api_types::{Done, MadeOrganization, NameAvailable, Organization, Organizations, Urls};
use muster_model::Oid;
use muster_store::Expect;
use serde_json::{Value, json};

/// Longest name of an organization, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Organizations of one server that users may make.
const ORGANIZATIONS_MAX: usize = 10_000;

/// Organizations on a page of `user/orgs`. Source: reference/rest-api.md section 7.1.
const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 1_000;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::{May, Public, Token};
    use Method::{Get, Post};
    let mut routes = vec![
        Route::new(Get, "/orgs/{oid}", May("org.get"), "The organization", info)
            .answers::<Organization>("organization_get"),
        Route::new(Get, "/orgs/{oid}/url", Public, "Addresses of this server, by purpose", urls)
            .answers::<Urls>("organization_urls"),
        Route::new(Post, "/orgs/{oid}/name", May("org.conf.set"), "Rename the organization", rename)
            .answers::<Done>("organization_rename")
            .needs("name", Kind::Text, "New name")
            .form("description", Kind::Text, "Accepted and ignored: organizations have none"),
        Route::new(Get, "/user/orgs", Token, "Organizations of the caller", mine)
            .answers::<Organizations>("organizations_list")
            .query("offset", Kind::Whole(0, i64::MAX), "Organizations to skip")
            .query("limit", Kind::Whole(1, PAGE_MAX), "Organizations on a page; 1 to 1,000, default 50")
            .query("filter", Kind::Text, "Only names that hold this text, in any case")
            .query("sort_by", Kind::Text, "Accepted and ignored: the order is that of the ids")
            .query("sort_order", Kind::Text, "Accepted and ignored")
            .query("fields", Kind::Text, "Accepted and ignored: every field is given"),
        Route::new(Get, "/orgs/new", Token, "Whether a name for an organization is free", is_free)
            .answers::<NameAvailable>("organization_name_check")
            .query("name", Kind::Text, "Name"),
        Route::new(Post, "/orgs/new", Token, "Make an organization; its maker may do everything in it", create)
            .answers::<MadeOrganization>("organization_create")
            .needs("name", Kind::Text, "Name")
            .form("loc", Kind::Text, "Accepted and ignored: there is one location")
            .form("template", Kind::Text, "Accepted and ignored"),
    ];
    routes.extend(settings::routes());
    routes.extend(standing::routes());
    routes.extend(schema::routes());
    routes
}

fn profile(app: &App, oid: Oid) -> Result<(Profile, u64), ApiError> {
    let stored = app.records.get_with_revision(ORGANIZATION_OWNER, ORGANIZATION, &oid.to_string());
    stored.ok_or_else(|| ApiError::not_found("organization not found"))
}

fn name_of(app: &App, oid: Oid) -> String {
    profile(app, oid).map(|(profile, _)| profile.name).unwrap_or_default()
}

async fn info(call: Call) -> Result<Reply, ApiError> {
    let organization = call.organization()?;
    let oid = organization.oid;
    let (profile, _) = profile(&call.app, oid)?;
    let (sensors, online) = {
        let state = organization.state.lock();
        (state.fleet.live().len(), state.online.len())
    };
    Ok(Reply::json(&json!({
        "oid": oid, "name": profile.name, "created": profile.created_at.as_secs(),
        "sensor_quota": settings::quota(&call.app, &profile),
        "sensor_version": env!("CARGO_PKG_VERSION"), "latest_versions": {},
        "n_rules": RULE_HIVES.into_iter().map(|hive| hive::list(&call.app.hives, hive, oid).len()).sum::<usize>(),
        "n_outputs": call.app.records.count(oid, OUTPUT),
        "n_installation_keys": call.app.records.count(oid, INSTALLATION_KEY),
        "n_sensors": sensors, "n_online": online,
    })))
}

/// Addresses of this server as the caller can reach it.
///
/// Without a token: old clients send none. Nothing is said of the organization, not even whether it exists.
async fn urls(call: Call) -> Result<Reply, ApiError> {
    let address = reachable(&call);
    let https = format!("https://{address}");
    let wss = format!("wss://{address}");
    Ok(Reply::json(&json!({
        "url": {
            "lc": address, "lc_wss": address, "edr": address, "replay": address, "logs": address, "artifacts": address,
            "hooks": address, "live": wss, "search": https, "search_api": https, "cases": https, "ai": https,
            "api": https, "private_endpoints": "", "region_code": "self",
        },
        "certs": {},
        "site_name": "muster",
    })))
}

/// `host:port` of the TLS listener, as the caller can reach it: who came by a published name finds everything under
/// it, and a server that listens everywhere is called as the caller calls it.
fn reachable(call: &Call) -> String {
    let address = call.app.address.for_sensors();
    let bound = call.app.address.bound();
    let host = call.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    if let Some(authority) = authority.as_ref().filter(|authority| is_published_host(authority.host())) {
        return authority.host().to_owned();
    }
    if call.app.config.public_address.is_some() || !bound.is_some_and(|bound| bound.tls.ip().is_unspecified()) {
        return address;
    }
    match (authority, bound) {
        (Some(authority), Some(bound)) => format!("{}:{}", authority.host(), bound.tls.port()),
        _ => address,
    }
}

fn checked_name(call: &Call) -> Result<&str, ApiError> {
    let name = call.fields.get("name").map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_request("name is required"))?;
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "name must be at most {NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(name)
}

async fn rename(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = checked_name(&call)?;
    change_profile(&call, oid, "organization renamed", "rename", &json!({"name": name}), |profile| {
        name.clone_into(&mut profile.name);
    })
    .await
}

/// Changes the stored profile, with its audit record.
async fn change_profile(
    call: &Call,
    oid: Oid,
    message: &str,
    action: &str,
    detail: &Value,
    edit: impl FnOnce(&mut Profile),
) -> Result<Reply, ApiError> {
    let (mut profile, revision) = profile(&call.app, oid)?;
    edit(&mut profile);
    let beside = call.audit(oid, message, &json!({"type": "organization", "name": profile.name}), action, detail);
    let (key, expect) = (oid.to_string(), Expect::Revision(revision));
    call.app.records.put(ORGANIZATION_OWNER, ORGANIZATION, &key, &profile, expect, beside).await?;
    Ok(Reply::done())
}

async fn mine(call: Call) -> Result<Reply, ApiError> {
    let filter = call.fields.get("filter").unwrap_or_default().to_lowercase();
    let all: Vec<(Oid, String)> = call
        .caller
        .scope
        .0
        .keys()
        .filter(|oid| call.app.organization(**oid).is_some())
        .map(|oid| (*oid, name_of(&call.app, *oid)))
        .filter(|(_, name)| name.to_lowercase().contains(&filter))
        .collect();
    let offset = usize::try_from(call.fields.number("offset")?.unwrap_or(0)).unwrap_or(0);
    let limit = call.fields.number("limit")?.filter(|limit| *limit > 0).unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
    let page = all.iter().skip(offset).take(usize::try_from(limit).unwrap_or(1));
    let orgs: Vec<Value> = page.map(|(oid, name)| json!({"oid": oid, "name": name})).collect();
    Ok(Reply::json(&json!({"orgs": orgs, "total": all.len()})))
}

/// Names need not be unique here: whether another organization has one is nobody's business.
async fn is_free(call: Call) -> Result<Reply, ApiError> {
    checked_name(&call)?;
    Ok(Reply::json(&json!({"is_available": true, "available": true})))
}

async fn create(call: Call) -> Result<Reply, ApiError> {
    if !call.caller.is_user() {
        return Err(ApiError::forbidden("only users can make organizations; call this with a user key"));
    }
    let name = checked_name(&call)?;
    if call.app.organizations().len() >= ORGANIZATIONS_MAX {
        return Err(ApiError::bad_request(format!("this server has at most {ORGANIZATIONS_MAX} organizations")));
    }
    let email = &call.caller.identity;
    let oid = Oid(random::uuid());
    let now = clock::now();
    let profile = Profile { name: name.to_owned(), created_at: now, sensor_quota: 0 };
    let subscription = Subscription { created_at: now, by: email.clone() };
    let with_maker = || {
        let stored = call.app.records.get_with_revision(SERVER, USER, email);
        let (mut user, revision) = stored.ok_or_else(|| ApiError::forbidden("the user of this token was removed"))?;
        user.organizations.insert(oid, owner_permissions());
        let entity = json!({"type": "organization", "name": name});
        let beside = call.audit(oid, "organization created", &entity, "create_organization", &json!({}));
        let batch = extension::first_subscriptions(Batch::beside(beside), oid, &subscription)?;
        let batch = batch.put(SERVER, USER, email, &user, Expect::Revision(revision))?;
        if call.caller.in_console {
            return Ok(batch);
        }
        let hash = &call.caller.credential;
        let stored = call.app.records.get_with_revision(SERVER, USER_KEY, hash);
        let (mut key, revision) = stored.ok_or_else(|| ApiError::forbidden("the key of this token was deleted"))?;
        key.organizations.insert(oid);
        Ok::<_, ApiError>(batch.put(SERVER, USER_KEY, hash, &key, Expect::Revision(revision))?)
    };
    call.app.create_organization_with(oid, &profile, with_maker).await?;
    Ok(Reply::json(&json!({"success": true, "data": {"oid": oid}})))
}
