//! Artifacts and their collection rules. Source: reference/rest-api.md section 7.10.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route, credential};
use crate::access::{INGESTION_KEY, Sight};
use crate::artifact::{self, ARTIFACT, ARTIFACT_RULE, ARTIFACT_RULES_MAX, Artifact, Offer, Part};
use crate::clock;
use crate::files::Shelf;
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use crate::transfer::{self, What};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use muster_api_types::{ArtifactAddress, ArtifactPage, ArtifactRules, Done, IngestedArtifact};
use muster_model::{Oid, Timestamp};
use muster_store::Expect;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

/// Artifacts on a page.
const PAGE: usize = 1_000;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let (list_access, write_access) = (Access::May("insight.list"), Access::May("insight.ctrl"));
    vec![
        Route::new(Method::Get, "/insight/{oid}/artifacts", list_access, "Kept artifacts, newest first", list)
            .answers::<ArtifactPage>("artifacts_list")
            .query("start", Kind::Seconds, "from this second on (Unix)")
            .query("end", Kind::Seconds, "up to and including this second (Unix)")
            .query("cursor", Kind::Text, "next_cursor of the page before")
            .query("sid", Kind::Id, "only of this sensor")
            .query("hint", Kind::Text, "only of this type word")
            .query("source", Kind::Text, "only of this source"),
        Route::new(
            Method::Post,
            "/insight/{oid}/artifacts/originals/{id}",
            Access::May("insight.evt.get"),
            "A one-time URL to get an artifact",
            original,
        )
        .answers::<ArtifactAddress>("artifact_address"),
        Route::new(Method::Get, "/insight/{oid}/artifacts/rules", list_access, "Collection rules", rules)
            .answers::<ArtifactRules>("artifact_rules_list"),
        Route::new(Method::Post, "/insight/{oid}/artifacts/rules", write_access, "Sets a collection rule", set_rule)
            .answers::<Done>("artifact_rule_set")
            .needs("name", Kind::Text, "name of the rule")
            .form("patterns", Kind::List, "Paths to collect; a list")
            .form("platforms", Kind::List, "Only on these platforms; a list")
            .form("tags", Kind::List, "Only on sensors with these tags; a list")
            .form("days_retention", Kind::Whole(0, i64::MAX), "Days that what is collected is kept")
            .form("is_delete_after", Kind::Flag, "Delete the file on the endpoint once it is here")
            .form("is_ignore_cert", Kind::Flag, "Kept and given back")
            .open(),
        Route::new(
            Method::Delete,
            "/insight/{oid}/artifacts/rules",
            write_access,
            "Deletes a collection rule",
            delete_rule,
        )
        .answers::<Done>("artifact_rule_delete")
        .needs("name", Kind::Text, "name of the rule"),
        Route::new(Method::Post, "//ingest", Access::Public, "Uploads an artifact with an ingestion key", ingest)
            .answers::<IngestedArtifact>("artifact_ingest")
            .streaming(),
    ]
}

fn shown(payload_id: &str, artifact: &Artifact) -> Value {
    json!({
        "payload_id": payload_id, "path": artifact.path, "source": artifact.source, "hint": artifact.hint,
        "size": artifact.size, "sha256": artifact.sha256, "sid": artifact.sid,
        "ts": artifact.created_at.as_secs(), "expires": artifact.expires_at.as_secs(),
    })
}

/// Where a page of artifacts begins.
struct Place<'a> {
    start: i64,
    end: i64,
    after: Option<(i64, &'a str)>,
}

impl<'a> Place<'a> {
    /// Reads a cursor: start, end, and place of the last artifact, joined by dots.
    fn parse(cursor: &'a str) -> Option<Self> {
        let mut parts = cursor.splitn(4, '.');
        let mut number = || parts.next()?.parse().ok();
        let (start, end, at) = (number()?, number()?, number()?);
        Some(Self { start, end, after: Some((at, parts.next()?)) })
    }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let query = &call.fields;
    let wanted = |name: &str| query.get(name).filter(|value| !value.is_empty());
    // Only the first page says from when to when; the cursor remembers it.
    let place = match wanted("cursor").filter(|cursor| *cursor != "-") {
        Some(cursor) => {
            Place::parse(cursor).ok_or_else(|| ApiError::bad_request("cursor is not one that an earlier page gave"))?
        }
        None => Place {
            start: query.number("start")?.unwrap_or(0),
            end: query.number("end")?.unwrap_or(i64::MAX),
            after: None,
        },
    };
    let has = |name: &str, value: &str| wanted(name).is_none_or(|wanted| wanted == value);
    let sid = |artifact: &Artifact| artifact.sid.map(|sid| sid.to_string()).unwrap_or_default();
    let mut found: Vec<(String, Artifact)> = call.app.records.list(oid, ARTIFACT);
    found.retain(|(id, artifact)| {
        let second = artifact.created_at.as_secs();
        let here = (artifact.created_at.as_micros(), id.as_str());
        (place.start..=place.end).contains(&second)
            && place.after.is_none_or(|after| here < after)
            && has("sid", &sid(artifact))
            && has("hint", &artifact.hint)
            && has("source", &artifact.source)
    });
    found.sort_by(|(a, one), (b, other)| (other.created_at, b).cmp(&(one.created_at, a)));
    let cursor = found
        .get(PAGE - 1)
        .filter(|_| found.len() > PAGE)
        .map(|(id, artifact)| format!("{}.{}.{}.{id}", place.start, place.end, artifact.created_at.as_micros()));
    found.truncate(PAGE);
    let logs: Vec<Value> = found.iter().map(|(id, artifact)| shown(id, artifact)).collect();
    Ok(Reply::json(&json!({"logs": logs, "next_cursor": cursor})))
}

async fn original(call: Call) -> Result<Reply, ApiError> {
    let (oid, id) = (call.organization()?.oid, call.path("id"));
    let artifact = call.app.records.get(oid, ARTIFACT, id).ok_or_else(|| ApiError::not_found("artifact not found"))?;
    let what = What::Get { shelf: Shelf::Artifacts, name: id.to_owned() };
    let token = call.app.transfers.grant(oid, call.grantee("insight.evt.get"), what)?;
    let entity = json!({"type": "artifact", "name": id});
    let audit = call.audit(oid, "artifact read", &entity, "read_artifact", &json!({"path": artifact.path}));
    artifact::exported(&call.app.artifacts, oid, id, &artifact, audit).await?;
    Ok(Reply::json(&json!({"export": transfer::url(&call.base, &token)})))
}

async fn rules(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let reach = call.reach(oid);
    let seen = |(name, rule): (String, Value)| match reach.sight(ARTIFACT_RULE, &name) {
        Sight::Whole => Some((name, rule)),
        Sight::Outline => Some((name.clone(), json!({"name": name}))),
        Sight::Nothing => None,
    };
    let rules: Map<String, Value> = call.app.records.list(oid, ARTIFACT_RULE).into_iter().filter_map(seen).collect();
    Ok(Reply::json(&rules))
}

fn told(call: &Call, oid: Oid, name: &str, message: &str, action: &str, now: Timestamp) -> Record {
    let actor = call.caller.actor(call.source);
    let entity = json!({"type": "artifact_rule", "name": name});
    event::audit(oid, &actor, message, &entity, action, &json!({}), now)
}

async fn set_rule(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let mut rule = call.object()?;
    rule.remove("oid");
    let rule = Value::Object(rule);
    let name = rule["name"].as_str().unwrap_or_default();
    artifact::check_rule(name, &rule)?;
    let records = &call.app.records;
    if !records.has(oid, ARTIFACT_RULE, name) && records.count(oid, ARTIFACT_RULE) >= ARTIFACT_RULES_MAX {
        return Err(artifact::Error::TooManyRules.into());
    }
    let beside = told(&call, oid, name, "artifact rule set", "set_artifact_rule", clock::now());
    call.reach(oid).put::<_, ApiError>(ARTIFACT_RULE, name, &rule, Expect::Any, beside).await?;
    Ok(Reply::done())
}

async fn delete_rule(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = call.fields.get("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_request("name is required"))?;
    if !call.app.records.has(oid, ARTIFACT_RULE, name) {
        return Err(ApiError::not_found("collection rule not found"));
    }
    let beside = told(&call, oid, name, "artifact rule deleted", "delete_artifact_rule", clock::now());
    call.reach(oid).delete::<_, ApiError>(ARTIFACT_RULE, name, beside).await?;
    Ok(Reply::done())
}

/// The organization whose ingestion key the request carries (`Basic oid:key`), and the name of the key.
async fn ingesting(call: &Call) -> Result<(Oid, String), ApiError> {
    let refused =
        || ApiError::unauthorized("ingestion needs the header Authorization: Basic base64(oid:ingestion key)");
    let value = call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let (scheme, encoded) = value.split_once(' ').ok_or_else(refused)?;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.filter(|_| scheme.eq_ignore_ascii_case("basic")).ok_or_else(refused)?;
    let (oid, key) = decoded.split_once(':').ok_or_else(refused)?;
    let oid: Oid = oid.parse().map_err(|_| refused())?;
    let keys = call.app.records.list(oid, INGESTION_KEY);
    let is_one = |have: &str| bool::from(have.as_bytes().ct_eq(key.as_bytes()));
    match keys.into_iter().find(|(_, have)| !have.key.is_empty() && is_one(&have.key)) {
        Some((name, _)) => Ok((oid, name)),
        None => Err(credential::refused(&call.app, Some(oid), call.source, refused()).await),
    }
}

async fn ingest(mut call: Call) -> Result<Reply, ApiError> {
    let (oid, key) = ingesting(&call).await?;
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = BASE64_STANDARD.decode(header("lc-path"));
    let path = path.map_err(|_| ApiError::bad_request("lc-path must be base64"))?;
    let path = String::from_utf8_lossy(&path);
    let days = match header("lc-retention-days") {
        "" => 0,
        text => text.parse().map_err(|_| ApiError::bad_request("lc-retention-days must be a whole number"))?,
    };
    let actor = Actor { identity: format!("ingestion key {key}"), origin: "api", source: call.source, called_by: None };
    let offer =
        Offer::new(header("lc-payload-id"), &path, header("lc-hint"), header("lc-source"), days)?.sent_by(actor);
    let part = Part::parse(Some(header("lc-part")))?;
    let body = call.stream.take().ok_or_else(|| ApiError::bad_request("the request has no body"))?;
    let payload_id = artifact::ingest(&call.app.artifacts, oid, offer, part, body).await?;
    Ok(Reply::json(&json!({"payload_id": payload_id})))
}
