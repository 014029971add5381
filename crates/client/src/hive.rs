//! Hives: versioned configuration records, such as rules. Source: reference/rest-api.md section 8.

use crate::{Client, ClientError};
use muster_api_types::{HivePage, HiveRecord, Replay, UserMetadata};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;

/// Records asked for on one page.
const PAGE: usize = 500;

/// A wanted change of a record; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct HiveChange {
    /// New content.
    pub data: Option<Value>,
    /// New metadata.
    pub usr_mtd: Option<UserMetadata>,
    /// The change is made only if this is still the etag.
    pub etag: Option<String>,
}

impl Client {
    /// All records of a hive, by key.
    ///
    /// # Errors
    ///
    /// 401 `missing_permission` if the key may not read the hive; 404 for an unknown hive.
    pub async fn hive_records(&self, hive: &str) -> Result<BTreeMap<String, HiveRecord>, ClientError> {
        let (mut records, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let query = vec![("limit", PAGE.to_string()), ("cursor", cursor.clone())];
            let page: HivePage = self.get(&["hive", hive, self.oid()], query).await?;
            records.extend(page.records);
            if page.next_cursor.is_empty() || page.next_cursor == cursor {
                return Ok(records);
            }
            cursor = page.next_cursor;
        }
    }

    /// A record.
    ///
    /// # Errors
    ///
    /// 400 `RECORD_NOT_FOUND`.
    pub async fn hive_record(&self, hive: &str, key: &str) -> Result<HiveRecord, ClientError> {
        self.get(&["hive", hive, self.oid(), key, "data"], Vec::new()).await
    }

    /// Creates or changes a record.
    ///
    /// # Errors
    ///
    /// 400 `ETAG_MISMATCH` if it was changed meanwhile; 400 saying what is wrong with the content.
    pub async fn set_hive_record(&self, hive: &str, key: &str, change: &HiveChange) -> Result<(), ClientError> {
        let mut form = Vec::new();
        form.extend(change.data.as_ref().map(|data| ("data", data.to_string())));
        if let Some(usr_mtd) = &change.usr_mtd {
            let text = serde_json::to_string(usr_mtd).map_err(|error| ClientError::Settings(error.to_string()))?;
            form.push(("usr_mtd", text));
        }
        form.extend(change.etag.clone().map(|etag| ("etag", etag)));
        let part = if change.data.is_some() { "data" } else { "mtd" };
        self.act(Method::POST, &["hive", hive, self.oid(), key, part], form).await
    }

    /// Deletes a record.
    ///
    /// # Errors
    ///
    /// 400 `RECORD_NOT_FOUND`.
    pub async fn delete_hive_record(&self, hive: &str, key: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["hive", hive, self.oid(), key], Vec::new()).await
    }

    /// Tries a rule on events, without any effect: the body and the answer of the published replay
    /// service, the organization filled in. Source: reference/detection-response.md section 20.3.
    ///
    /// # Errors
    ///
    /// 400 for an invalid rule; 503 if too many replays run.
    pub async fn replay(&self, mut request: Value) -> Result<Replay, ClientError> {
        request["oid"] = self.oid().into();
        self.call_at(Method::POST, &[""], &[], Some(&request)).await
    }
}
