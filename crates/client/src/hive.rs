//! Hives: versioned configuration records, such as rules. Source: reference/rest-api.md section 8.

use crate::{Client, ClientError, Rest};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Records asked for on one page.
const PAGE: usize = 500;

/// A record of a hive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HiveRecord {
    /// Its content.
    #[serde(default)]
    pub data: Value,
    /// What users say about it.
    #[serde(default)]
    pub usr_mtd: UserMetadata,
    /// What the server says about it.
    #[serde(default)]
    pub sys_mtd: SystemMetadata,
}

/// Metadata that users write; a write replaces the whole block.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UserMetadata {
    /// Whether it is in force.
    #[serde(default)]
    pub enabled: bool,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Everything else, such as `expiry` (Unix milliseconds) and `comment`.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Metadata that the server writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SystemMetadata {
    /// Changes with every write.
    #[serde(default)]
    pub etag: String,
    /// Who wrote last.
    #[serde(default)]
    pub last_author: String,
    /// When, in Unix milliseconds.
    #[serde(default)]
    pub last_mod: i64,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

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

#[derive(Deserialize)]
struct Page {
    records: BTreeMap<String, HiveRecord>,
    #[serde(default)]
    next_cursor: String,
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
            let page: Page = self.get(&["hive", hive, self.oid()], query).await?;
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
    pub async fn replay(&self, mut request: Value) -> Result<Value, ClientError> {
        request["oid"] = self.oid().into();
        self.call_at(Method::POST, &[""], &[], Some(&request)).await
    }
}
