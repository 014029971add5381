//! The older endpoints of rules, on the same records. Source: reference/rest-api.md section 7.5.

use super::{allow, allow_actions};
use crate::api::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::hive::{self, Change, FALSE_POSITIVES, Hive, UserMetadata, Verb};
use muster_api_types::{Done, FalsePositives, Rules};
use muster_model::Oid;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    use Access::{May, Member};
    use Method::{Delete, Get, Post};
    vec![
        Route::new(Get, "/rules/{oid}", Member, "Rules of a namespace", list).answers::<Rules>("rules_list").query(
            "namespace",
            Kind::OneOf(&["general", "managed", "service"]),
            "general (default), managed or service",
        ),
        Route::new(Post, "/rules/{oid}", Member, "Creates or replaces a rule", set)
            .answers::<Done>("rule_set")
            .needs("name", Kind::Text, "Name of the rule")
            .needs("detection", Kind::Json, "JSON text")
            .needs("response", Kind::Json, "JSON text")
            .form("is_replace", Kind::Flag, "Replace a rule that is there")
            .form("is_enabled", Kind::Flag, "Default true")
            .form("expire_on", Kind::Seconds, "Unix seconds")
            .form(
                "namespace",
                Kind::OneOf(&["general", "managed", "service"]),
                "general (default), managed or service",
            ),
        Route::new(Delete, "/rules/{oid}", Member, "Deletes a rule", delete)
            .answers::<Done>("rule_delete")
            .needs("name", Kind::Text, "Name of the rule")
            .form(
                "namespace",
                Kind::OneOf(&["general", "managed", "service"]),
                "general (default), managed or service",
            ),
        Route::new(Get, "/fp/{oid}", May("fp.ctrl"), "False-positive rules", list_false_positives)
            .answers::<FalsePositives>("false_positives_list"),
        Route::new(Post, "/fp/{oid}", May("fp.ctrl"), "Creates or replaces a false-positive rule", set_false_positive)
            .answers::<Done>("false_positive_set")
            .needs("name", Kind::Text, "Name of the rule")
            .needs("rule", Kind::Json, "JSON text")
            .form("is_replace", Kind::Flag, "Replace a rule that is there")
            .form("expire_on", Kind::Seconds, "Unix seconds"),
        Route::new(Delete, "/fp/{oid}", May("fp.ctrl"), "Deletes a false-positive rule", delete_false_positive)
            .answers::<Done>("false_positive_delete")
            .needs("name", Kind::Text, "Name of the rule"),
    ]
}

fn place(call: &Call, verb: Verb) -> Result<(&'static Hive, Oid), ApiError> {
    let namespace = call.fields.get("namespace").filter(|name| !name.is_empty()).unwrap_or("general");
    let hive = hive::RULE_HIVES.into_iter().find(|hive| hive.namespace() == Some(namespace));
    let hive = hive.ok_or_else(|| ApiError::bad_request("namespace must be general, managed or service"))?;
    let oid = call.organization()?.oid;
    allow(call, hive, oid, verb)?;
    Ok((hive, oid))
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Get)?;
    let rules: Map<String, Value> = hive::list_seen(&call.app.hives, hive, oid, &call.actor())
        .into_iter()
        .map(|(name, record)| {
            let rule = json!({
                "name": name, "namespace": hive.namespace(), "oid": oid, "is_enabled": record.usr_mtd.enabled,
                "detect": record.data["detect"], "respond": record.data["respond"],
                "expire_on": record.usr_mtd.expiry / 1_000,
            });
            (name, rule)
        })
        .collect();
    Ok(Reply::json(&rules))
}

fn json_of(call: &Call, name: &str) -> Result<Value, ApiError> {
    let text = call.fields.require(name)?;
    serde_json::from_str(text).map_err(|error| ApiError::bad_request(format!("{name} is not JSON: {error}")))
}

async fn store(call: &Call, hive: &'static Hive, oid: Oid, data: Value, enabled: bool) -> Result<Reply, ApiError> {
    let name = call.fields.require("name")?;
    let stored = hive::get(&call.app.hives, hive, oid, name).ok();
    if stored.is_some() && !call.fields.flag("is_replace")? {
        return Err(ApiError::conflict(format!("there is a rule {name:?} already; replace it with is_replace")));
    }
    allow_actions(call, hive, oid, &data)?;
    let expiry = call.fields.number("expire_on")?.unwrap_or(0).saturating_mul(1_000);
    let kept = stored.map(|stored| stored.usr_mtd).unwrap_or_default();
    let usr_mtd = Some(UserMetadata { enabled, expiry, ..kept });
    let change = Change { data: Some(data), usr_mtd, etag: None };
    hive::set(&call.app.hives, hive, oid, name, change, &call.actor()).await?;
    Ok(Reply::done())
}

async fn set(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Set)?;
    let data = json!({"detect": json_of(&call, "detection")?, "respond": json_of(&call, "response")?});
    let enabled = call.fields.get("is_enabled").is_none() || call.fields.flag("is_enabled")?;
    store(&call, hive, oid, data, enabled).await
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Delete)?;
    remove(&call, hive, oid).await
}

async fn remove(call: &Call, hive: &Hive, oid: Oid) -> Result<Reply, ApiError> {
    let name = call.fields.get("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_request("name is required"))?;
    hive::delete(&call.app.hives, hive, oid, name, &call.actor()).await?;
    Ok(Reply::done())
}

async fn list_false_positives(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let rules: Map<String, Value> = hive::list_seen(&call.app.hives, &FALSE_POSITIVES, oid, &call.actor())
        .into_iter()
        .map(|(name, record)| (name.clone(), json!({"name": name, "oid": oid, "data": record.data})))
        .collect();
    Ok(Reply::json(&rules))
}

async fn set_false_positive(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let data = json_of(&call, "rule")?;
    store(&call, &FALSE_POSITIVES, oid, data, true).await
}

async fn delete_false_positive(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    remove(&call, &FALSE_POSITIVES, oid).await
}
