//! Hives. Source: reference/rest-api.md section 8.
//!
//! Which permission a call needs depends on the hive, so that the handlers check it.

mod batch;
mod rules;

use super::extensions::packed_text;
use super::{Access, ApiError, Call, Form, Kind, Method, Reply, Route};
use crate::hive::{self, Change, Hive, HiveRecord, Paging, UserMetadata, Verb};
use muster_api_types::{BatchAnswer, Done, HiveListing, HiveSchema, WrittenRecord};
use muster_model::Oid;
use serde_json::{Map, Value, json};

/// The hive whose reading is told.
const SECRET: &str = "secret";

/// What the audit calls a whole hive.
const EVERY: &str = "*";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::Member;
    use Method::{Delete, Get, Post};
    let one = |method, path, summary| OneRoute { method, path, summary };
    let mut routes = vec![
        Route::new(Get, "/hive/{hive}/{oid}", Member, "Records of a hive", list)
            .answers::<HiveListing>("hive_list")
            .query("mtd_only", Kind::Flag, "Leave out the content")
            .query("limit", Kind::Whole(0, i64::MAX), "Records on a page, at most 500; makes the answer a page")
            .query("cursor", Kind::Text, "Where the page before ended")
            .query("tag_prefix", Kind::Text, "Only records with a tag that begins so")
            .query("max_bytes", Kind::Whole(1, i64::MAX), "Bytes on a page"),
        Route::new(Get, "/hive/{hive}/schema", Member, "JSON Schema of a hive's content", schema)
            .answers::<HiveSchema>("hive_schema_get")
            .query("oid", Kind::Id, "Organization id"),
        Route::new(Get, "/hive/{hive}/{oid}/{key}/data", Member, "A record", get)
            .answers::<muster_api_types::HiveRecord>("hive_record_get"),
        Route::new(Get, "/hive/{hive}/{oid}/{key}/mtd", Member, "Metadata of a record", get_metadata)
            .answers::<muster_api_types::HiveRecord>("hive_metadata_get"),
        Route::new(Post, "/hive/{hive}/{oid}/{key}/rename", Member, "Gives a record another name", rename)
            .answers::<WrittenRecord>("hive_record_rename")
            .query("new_name", Kind::Text, "The new name; also taken from the form"),
        Route::new(Post, "/hive-public/{hive}/{oid}", Member, "A record by its guid", get_by_guid)
            .answers::<muster_api_types::HiveRecord>("hive_record_get_by_guid")
            .needs("guid", Kind::Id, "The guid of the record, which it keeps when it is renamed"),
        Route::new(Delete, "/hive/{hive}/{oid}/{key}", Member, "Deletes a record", delete)
            .answers::<Done>("hive_record_delete"),
        Route::new(Post, "/hive", Member, "Several operations on records", batch::run)
            .answers::<BatchAnswer>("hive_batch")
            .takes_documents()
            .query("oid", Kind::Id, "Organization id")
            .needs(
                "request",
                Kind::Json,
                "Repeated; JSON with one of get_record, get_record_mtd, set_record, set_record_mtd, delete_record",
            ),
    ];
    let data = one(Post, "/hive/{hive}/{oid}/{key}/data", "Creates or changes a record");
    let metadata = one(Post, "/hive/{hive}/{oid}/{key}/mtd", "Replaces the metadata of a record");
    let validate = one(Post, "/hive/{hive}/{oid}/{key}/validate", "Checks content without storing it");
    routes.push(data.with_content(set).answers::<WrittenRecord>("hive_record_set").takes_documents());
    routes.push(metadata.with_content(set_metadata).answers::<WrittenRecord>("hive_metadata_set"));
    routes.push(validate.with_content(validate_content).answers::<Done>("hive_record_validate").takes_documents());
    routes.extend(rules::routes());
    routes
}

struct OneRoute {
    method: Method,
    path: &'static str,
    summary: &'static str,
}

impl OneRoute {
    fn with_content<F, A>(self, handler: F) -> Route
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Reply, ApiError>> + Send + 'static,
    {
        Route::new(self.method, self.path, Access::Member, self.summary, handler)
            .form("data", Kind::Json, "Content: JSON text")
            .form("gzdata", Kind::Packed, "The same as base64 of gzip")
            .form(
                "usr_mtd",
                Kind::Json,
                "JSON text with enabled, expiry (Unix ms), tags, comment; replaces the stored block",
            )
            .form("etag", Kind::Text, "Write only if this is the stored etag")
            .form(
                "sys_mtd",
                Kind::Json,
                "JSON text with etag, which is read as the field etag is; the rest is the server's",
            )
            .form("arl", Kind::Text, "Not supported: send the content as data")
    }
}

/// The hive of the path and the organization, if the caller may do this in it.
fn place(call: &Call, verb: Verb) -> Result<(&'static Hive, Oid), ApiError> {
    let hive = hive::find(call.path("hive")).ok_or_else(|| unknown_hive(call.path("hive")))?;
    let oid = call.organization()?.oid;
    allow(call, hive, oid, verb)?;
    Ok((hive, oid))
}

fn unknown_hive(name: &str) -> ApiError {
    let names: Vec<&str> = hive::HIVES.into_iter().map(|hive| hive.name).collect();
    ApiError::not_found(format!("no such hive: {name}; there are {}", names.join(", ")))
}

fn allow(call: &Call, hive: &Hive, oid: Oid, verb: Verb) -> Result<(), ApiError> {
    let permission = hive.permission(verb);
    if call.caller.may(oid, permission) { Ok(()) } else { Err(ApiError::missing_permission(permission)) }
}

/// Checks that the caller may do what a rule does, where the organization asks for that.
fn allow_actions(call: &Call, hive: &Hive, oid: Oid, data: &Value) -> Result<(), ApiError> {
    Ok(call.app.hives.require_rights(oid, hive, data, |permission| call.caller.may(oid, permission))?)
}

/// What every write answers.
fn written(hive: &Hive, oid: Oid, key: &str, record: &HiveRecord) -> Value {
    json!({"guid": record.sys_mtd.guid, "hive": {"name": hive.name, "partition": oid}, "name": key})
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let is_metadata_only = call.fields.flag("mtd_only")?;
    let verb = if is_metadata_only { Verb::GetMetadata } else { Verb::Get };
    let (hive, oid) = place(&call, verb)?;
    let Some(limit) = call.fields.number("limit")? else {
        let all = hive::whole(&call.app.hives, hive, oid, is_metadata_only, &call.actor())?;
        if !is_metadata_only {
            tell_read(&call, hive, EVERY).await?;
        }
        return Ok(Reply::json(&all));
    };
    let text = |name| call.fields.get(name).unwrap_or_default().to_owned();
    let bytes_max = call.fields.number("max_bytes")?.and_then(|bytes| usize::try_from(bytes).ok());
    let wanted = Paging {
        limit: usize::try_from(limit).unwrap_or(0),
        cursor: text("cursor"),
        is_metadata_only,
        tag_prefix: text("tag_prefix"),
        bytes_max: bytes_max.filter(|bytes| *bytes > 0),
    };
    let page = hive::page(&call.app.hives, hive, oid, &wanted, &call.actor())?;
    if !is_metadata_only {
        tell_read(&call, hive, EVERY).await?;
    }
    Ok(Reply::json(&json!({"records": page.records, "next_cursor": page.next_cursor})))
}

async fn schema(call: Call) -> Result<Reply, ApiError> {
    let hive = hive::find(call.path("hive")).ok_or_else(|| unknown_hive(call.path("hive")))?;
    Ok(Reply::json(&json!({"schema": hive::schema(hive)})))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Get)?;
    let record = hive::seen(&call.app.hives, hive, oid, call.path("key"), &call.actor())?;
    tell_read(&call, hive, call.path("key")).await?;
    Ok(Reply::json(&record))
}

/// Has the audit tell that a secret is read, before it is given.
async fn tell_read(call: &Call, hive: &Hive, key: &str) -> Result<(), ApiError> {
    if hive.name != SECRET {
        return Ok(());
    }
    let entity = json!({"type": "hive", "hive": hive.name, "name": key});
    let told = call.audit(call.organization()?.oid, "secret read", &entity, "read_secret", &json!({}));
    Ok(call.app.intake.commit(told).await?)
}

async fn get_metadata(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::GetMetadata)?;
    let record = hive::seen(&call.app.hives, hive, oid, call.path("key"), &call.actor())?;
    Ok(Reply::json(&record.without_data()))
}

/// The guid alone opens nothing: it takes the permission that reading the record takes.
async fn get_by_guid(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Get)?;
    let guid = call.fields.require("guid")?;
    let mut all = hive::list_seen(&call.app.hives, hive, oid, &call.actor()).into_iter();
    let found = all.find(|(_, record)| record.sys_mtd.guid == guid);
    let (key, record) = found.ok_or_else(|| hive::Error::NotFound(guid.to_owned()))?;
    tell_read(&call, hive, &key).await?;
    Ok(Reply::json(&record))
}

/// Content of a form; `None` if there is none, or it is null.
fn data_of(form: &Form) -> Result<Option<Value>, ApiError> {
    let text = packed_text(form)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value: Value =
        serde_json::from_str(&text).map_err(|error| ApiError::bad_request(format!("data is not JSON: {error}")))?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn require_data(form: &Form) -> Result<Value, ApiError> {
    data_of(form)?.ok_or_else(|| ApiError::bad_request("data is required: the content of the record, as JSON"))
}

fn object_of(form: &Form, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
    match form.get(name) {
        None | Some("" | "null") => Ok(None),
        Some(text) => {
            let parsed = serde_json::from_str(text).map(Some);
            parsed.map_err(|error| ApiError::bad_request(format!("{name} is not a JSON object: {error}")))
        }
    }
}

/// The metadata and the etag of a write.
fn change_of(form: &Form) -> Result<Change, ApiError> {
    let usr_mtd = object_of(form, "usr_mtd")?.map(|block| UserMetadata::read(&block)).transpose()?;
    let of_system = object_of(form, "sys_mtd")?;
    let of_system = of_system.as_ref().and_then(|block| block.get("etag")).and_then(Value::as_str);
    let etag = form.get("etag").or(of_system).filter(|etag| !etag.is_empty()).map(str::to_owned);
    if form.get("arl").is_some_and(|arl| !arl.is_empty()) {
        return Err(ApiError::bad_request("arl is not supported: send the content as data"));
    }
    Ok(Change { data: None, usr_mtd, etag })
}

async fn set(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Set)?;
    let data = require_data(&call.fields)?;
    allow_actions(&call, hive, oid, &data)?;
    let change = Change { data: Some(data), ..change_of(&call.fields)? };
    let key = call.path("key");
    let record = hive::set(&call.app.hives, hive, oid, key, change, &call.actor()).await?;
    Ok(Reply::json(&written(hive, oid, key, &record)))
}

async fn set_metadata(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::SetMetadata)?;
    let change = change_of(&call.fields)?;
    if change.usr_mtd.is_none() {
        return Err(ApiError::bad_request("usr_mtd is required"));
    }
    let key = call.path("key");
    // To enable a rule is to have it act.
    if let Ok(stored) = hive::get(&call.app.hives, hive, oid, key) {
        allow_actions(&call, hive, oid, &stored.data)?;
    }
    let record = hive::set(&call.app.hives, hive, oid, key, change, &call.actor()).await?;
    Ok(Reply::json(&written(hive, oid, key, &record)))
}

async fn validate_content(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Set)?;
    change_of(&call.fields)?;
    let data = require_data(&call.fields)?;
    hive::check(&call.app.hives, hive, oid, call.path("key"), data, &call.actor()).await?;
    Ok(Reply::done())
}

async fn rename(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Set)?;
    let new = call.fields.get("new_name").ok_or_else(|| ApiError::bad_request("new_name is required"))?;
    let record = hive::rename(&call.app.hives, hive, oid, (call.path("key"), new), &call.actor()).await?;
    Ok(Reply::json(&written(hive, oid, new, &record)))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let (hive, oid) = place(&call, Verb::Delete)?;
    hive::delete(&call.app.hives, hive, oid, call.path("key"), &call.actor()).await?;
    Ok(Reply::done())
}
