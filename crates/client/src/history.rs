//! Records that the server keeps. Source: reference/rest-api.md section 7.9.

use crate::{Client, ClientError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use muster_api_types::Records;
use serde::Deserialize;
use serde_json::Value;
use std::io::Read as _;

/// What one page may unpack to.
const PAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A span of time in Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// First second.
    pub start_s: i64,
    /// Last second.
    pub end_s: i64,
}

/// Which kept records.
#[derive(Clone, Debug)]
pub enum Historic {
    /// Events of one sensor.
    Events {
        /// The sensor.
        sid: String,
    },
    /// Audit records.
    Audit,
    /// Detections.
    Detections,
}

/// A question about kept records.
#[derive(Clone, Debug)]
pub struct History {
    /// Of what.
    pub of: Historic,
    /// From when to when.
    pub span: Span,
    /// Only of this event type or category.
    pub category: Option<String>,
    /// At most so many records.
    pub limit: usize,
}

/// A page of any kind. Records are as they were stored, maybe by another version: none is refused for its fields.
#[derive(Deserialize)]
struct Page {
    #[serde(alias = "detects")]
    events: Records<Value>,
    next_cursor: Option<String>,
}

impl Client {
    /// Kept records, in the server's order.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor; else whatever the server says.
    pub async fn history(&self, history: &History) -> Result<Vec<Value>, ClientError> {
        let oid = self.oid();
        let (path, category) = match &history.of {
            Historic::Events { sid } => (vec!["insight", oid, sid.as_str()], "event_type"),
            Historic::Audit => (vec!["insight", oid, "audit"], "event_type"),
            Historic::Detections => (vec!["insight", oid, "detections"], "cat"),
        };
        let mut records: Vec<Value> = Vec::new();
        let mut cursor = "-".to_owned();
        while records.len() < history.limit {
            let mut query = vec![
                ("start", history.span.start_s.to_string()),
                ("end", history.span.end_s.to_string()),
                ("cursor", cursor.clone()),
                ("is_compressed", "true".to_owned()),
                ("limit", (history.limit - records.len()).to_string()),
            ];
            query.extend(history.category.clone().map(|value| (category, value)));
            let page: Page = self.get(&path, query).await?;
            records.extend(unpack(page.events)?);
            match page.next_cursor {
                Some(next) if !next.is_empty() && next != cursor => cursor = next,
                _ => break,
            }
        }
        records.truncate(history.limit);
        Ok(records)
    }
}

/// A list, or base64 of gzip of one.
fn unpack(events: Records<Value>) -> Result<Vec<Value>, ClientError> {
    let wrong = |what: &str| ClientError::Answer(format!("a page of records {what}"));
    match events {
        Records::List(records) => Ok(records),
        Records::Compressed(packed) => {
            let bytes = STANDARD.decode(packed).map_err(|_| wrong("is not base64"))?;
            let mut text = Vec::new();
            let mut unpacked = GzDecoder::new(bytes.as_slice()).take(PAGE_BYTES_MAX);
            unpacked.read_to_end(&mut text).map_err(|_| wrong("is not gzip"))?;
            serde_json::from_slice(&text).map_err(|_| wrong("is not a JSON list"))
        }
    }
}
