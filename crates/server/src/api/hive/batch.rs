//! Several operations on records in one call; each has its own answer. Source: reference/rest-api.md section 8.

use super::{allow, unknown_hive, written};
use crate::api::{ApiError, Call, Reply};
use crate::hive::{self, Change, UserMetadata, Verb};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Operations in one call.
const OPERATIONS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    GetRecord(Target),
    GetRecordMtd(Target),
    SetRecord(Target),
    SetRecordMtd(Target),
    DeleteRecord(Target),
}

#[derive(Deserialize)]
struct Target {
    record_id: RecordId,
    #[serde(default)]
    record: Content,
    /// Metadata writes carry these beside the record id.
    usr_mtd: Option<Map<String, Value>>,
    sys_mtd: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct RecordId {
    hive: HiveId,
    name: String,
}

#[derive(Deserialize)]
struct HiveId {
    name: String,
    partition: String,
}

#[derive(Default, Deserialize)]
struct Content {
    data: Option<Value>,
    usr_mtd: Option<Map<String, Value>>,
    sys_mtd: Option<Map<String, Value>>,
    etag: Option<String>,
}

impl Target {
    fn change(self) -> Result<Change, ApiError> {
        let block = self.record.usr_mtd.or(self.usr_mtd);
        let of_system = self.record.sys_mtd.or(self.sys_mtd);
        let of_system = of_system.as_ref().and_then(|block| block.get("etag")).and_then(Value::as_str);
        let etag = self.record.etag.or(of_system.map(str::to_owned)).filter(|etag| !etag.is_empty());
        let usr_mtd = block.map(|block| UserMetadata::read(&block)).transpose()?;
        Ok(Change { data: self.record.data.filter(|data| !data.is_null()), usr_mtd, etag })
    }
}

pub(super) async fn run(call: Call) -> Result<Reply, ApiError> {
    let requests: Vec<&str> = call.fields.all("request").collect();
    if requests.is_empty() {
        return Err(ApiError::bad_request("request is required: one JSON object per operation"));
    }
    if requests.len() > OPERATIONS_MAX {
        return Err(ApiError::bad_request(format!("at most {OPERATIONS_MAX} operations in one call")));
    }
    let mut responses = Vec::with_capacity(requests.len());
    for text in requests {
        responses.push(match one(&call, text).await {
            Ok(data) => json!({"data": data, "error": ""}),
            Err(error) => json!({"data": null, "error": error.message}),
        });
    }
    // Once for all of them, since rules are compiled together.
    hive::changed(&call.app.hives, call.organization()?.oid).await?;
    Ok(Reply::json(&json!({"responses": responses})))
}

/// One operation. What is written is put in force by the caller.
async fn one(call: &Call, text: &str) -> Result<Value, ApiError> {
    let operation: Operation =
        serde_json::from_str(text).map_err(|error| ApiError::bad_request(format!("request: {error}")))?;
    let (verb, target) = match operation {
        Operation::GetRecord(target) => (Verb::Get, target),
        Operation::GetRecordMtd(target) => (Verb::GetMetadata, target),
        Operation::SetRecord(target) => (Verb::Set, target),
        Operation::SetRecordMtd(target) => (Verb::SetMetadata, target),
        Operation::DeleteRecord(target) => (Verb::Delete, target),
    };
    let oid = call.organization()?.oid;
    let RecordId { hive: HiveId { name, partition }, name: key } = &target.record_id;
    if *partition != oid.to_string() {
        return Err(ApiError::not_found("organization not found"));
    }
    let (hive, key) = (hive::find(name).ok_or_else(|| unknown_hive(name))?, key.clone());
    allow(call, hive, oid, verb)?;
    let to_value = |record| serde_json::to_value(record).map_err(ApiError::internal);
    match verb {
        Verb::Get => {
            let record = hive::seen(&call.app.hives, hive, oid, &key, &call.actor())?;
            super::tell_read(call, hive, &key).await?;
            to_value(record)
        }
        Verb::GetMetadata => to_value(hive::seen(&call.app.hives, hive, oid, &key, &call.actor())?.without_data()),
        Verb::Delete => {
            hive::erase(&call.app.hives, hive, oid, &key, &call.actor()).await?;
            Ok(json!({}))
        }
        Verb::Set | Verb::SetMetadata => {
            let change = target.change()?;
            let change = if verb == Verb::Set { change } else { Change { data: None, ..change } };
            if verb == Verb::Set && change.data.is_none() {
                return Err(ApiError::bad_request("record.data is required"));
            }
            let record = hive::write(&call.app.hives, hive, oid, &key, change, &call.actor()).await?;
            Ok(written(hive, oid, &key, &record))
        }
    }
}
