//! What a record is made of.

use super::{Error, new_etag};
use crate::intake::event::Actor;
use crate::random;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Labels of one record, and the longest label in bytes.
const TAGS_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 256;

/// Longest comment, in bytes.
const COMMENT_BYTES_MAX: usize = 4_096;

/// A record of a hive. It goes to clients as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct HiveRecord {
    /// Content; what it looks like depends on the hive.
    pub data: Value,
    /// What users say about it.
    pub usr_mtd: UserMetadata,
    /// What the server says about it.
    pub sys_mtd: SystemMetadata,
}

impl HiveRecord {
    /// When its time is over; `None` is never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        let expiry_ms = self.usr_mtd.expiry;
        (expiry_ms != 0).then(|| Timestamp::from_millis(expiry_ms))
    }

    /// The record without its content.
    #[must_use]
    pub fn without_data(self) -> Self {
        Self { data: json!({}), ..self }
    }
}

/// Metadata that users write. A write replaces the whole block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserMetadata {
    /// Whether it is in force.
    pub enabled: bool,
    /// Unix time in milliseconds; 0 is never.
    pub expiry: i64,
    /// Labels.
    pub tags: Vec<String>,
    /// For people.
    pub comment: String,
    /// What a console offers beside the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ui_actions: Vec<Value>,
}

impl UserMetadata {
    /// Reads a block as clients send it; what is absent or null has its default, so it is disabled.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] naming the field that is wrong.
    pub fn read(block: &Map<String, Value>) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Metadata(what.to_owned());
        let field = |name: &str| block.get(name).filter(|value| !value.is_null());
        let enabled = field("enabled").map_or(Some(false), Value::as_bool);
        let expiry = field("expiry").map_or(Some(0), Value::as_i64);
        let comment = field("comment").map_or(Some(""), Value::as_str);
        let comment = comment.filter(|comment| comment.len() <= COMMENT_BYTES_MAX);
        let tags = field("tags").map_or(Some(Vec::new()), |tags| {
            let text = |tag: &Value| tag.as_str().filter(|tag| tag.len() <= TAG_BYTES_MAX).map(str::to_owned);
            tags.as_array().filter(|tags| tags.len() <= TAGS_MAX)?.iter().map(text).collect()
        });
        let ui_actions = field("ui_actions").map_or(Some(Vec::new()), |actions| actions.as_array().cloned());
        Ok(Self {
            enabled: enabled.ok_or_else(|| wrong("enabled must be true or false"))?,
            expiry: expiry.ok_or_else(|| wrong("expiry must be Unix time in milliseconds, or 0"))?,
            tags: tags.ok_or_else(|| {
                wrong(&format!("tags must be a list of at most {TAGS_MAX} texts of at most {TAG_BYTES_MAX} bytes"))
            })?,
            comment: comment
                .ok_or_else(|| wrong(&format!("comment must be text of at most {COMMENT_BYTES_MAX} bytes")))?
                .to_owned(),
            ui_actions: ui_actions.ok_or_else(|| wrong("ui_actions must be a list"))?,
        })
    }
}

/// Metadata that the server writes; times are Unix milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the published names")]
pub struct SystemMetadata {
    pub etag: String,
    pub guid: String,
    pub created_by: String,
    pub created_at: i64,
    pub last_author: String,
    pub last_mod: i64,
    pub last_error: String,
    pub last_error_ts: i64,
}

impl SystemMetadata {
    /// After a write by someone.
    pub(super) fn after(before: Option<Self>, actor: &Actor, now: Timestamp) -> Self {
        let new = || Self {
            guid: random::uuid().to_string(),
            created_by: actor.identity.clone(),
            created_at: now.as_millis(),
            ..Self::default()
        };
        Self {
            etag: new_etag(),
            last_author: actor.identity.clone(),
            last_mod: now.as_millis(),
            ..before.unwrap_or_else(new)
        }
    }
}

/// A wanted change of a record.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// New content; absent keeps it.
    pub data: Option<Value>,
    /// New metadata; absent keeps it.
    pub usr_mtd: Option<UserMetadata>,
    /// The change is made only if this is the stored etag.
    pub etag: Option<String>,
}
