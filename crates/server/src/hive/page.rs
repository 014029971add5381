//! Listing a hive, whole or in pages.

use super::{Error, Hive, HiveRecord, Hives, list_seen};
use crate::intake::event::Actor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_model::Oid;
use serde_json::{Map, Value};

/// Largest whole listing, in bytes of JSON: 15,000 rules, or lookups with two million entries. Beyond, the client must ask
/// for pages.
pub const LISTING_BYTES_MAX: usize = 64 << 20;

/// Records on one page at most, and when the client's number makes no sense.
const PAGE_MAX: usize = 500;
const PAGE_DEFAULT: usize = 50;

/// What part of a hive is wanted.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    /// Records on the page; 0 is the default.
    pub limit: usize,
    /// Where the page before ended; empty for the first page.
    pub cursor: String,
    /// Leave out the content.
    pub is_metadata_only: bool,
    /// Only records that have a tag beginning so.
    pub tag_prefix: String,
    /// The page ends before it has more bytes than this, but never before its first record.
    pub bytes_max: Option<usize>,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Records by key.
    pub records: Map<String, Value>,
    /// Where the next page begins; empty on the last one.
    pub next_cursor: String,
}

fn value_of(record: HiveRecord, is_metadata_only: bool) -> Value {
    let record = if is_metadata_only { record.without_data() } else { record };
    serde_json::to_value(record).unwrap_or_default()
}

/// All records of a hive that somebody sees.
///
/// # Errors
///
/// [`Error::ListingTooLarge`].
pub fn whole(
    hives: &Hives,
    hive: &Hive,
    oid: Oid,
    is_metadata_only: bool,
    by: &Actor,
) -> Result<Map<String, Value>, Error> {
    let (mut records, mut bytes) = (Map::new(), 0);
    for (key, record) in list_seen(hives, hive, oid, by) {
        let value = value_of(record, is_metadata_only);
        bytes += key.len() + value.to_string().len();
        if bytes > LISTING_BYTES_MAX {
            return Err(Error::ListingTooLarge);
        }
        records.insert(key, value);
    }
    Ok(records)
}

/// One page of what somebody sees of a hive, in the order of the keys.
///
/// # Errors
///
/// [`Error::Cursor`].
pub fn page(hives: &Hives, hive: &Hive, oid: Oid, wanted: &Paging, by: &Actor) -> Result<Page, Error> {
    let after = read_cursor(&wanted.cursor)?;
    let limit = if wanted.limit == 0 { PAGE_DEFAULT } else { wanted.limit.min(PAGE_MAX) };
    let bytes_max = wanted.bytes_max.unwrap_or(LISTING_BYTES_MAX).min(LISTING_BYTES_MAX);
    let has_tag = |record: &HiveRecord| {
        wanted.tag_prefix.is_empty() || record.usr_mtd.tags.iter().any(|tag| tag.starts_with(&wanted.tag_prefix))
    };
    let mut page = Page { records: Map::new(), next_cursor: String::new() };
    let (mut bytes, mut last) = (0, String::new());
    for (key, record) in list_seen(hives, hive, oid, by) {
        if after.as_ref().is_some_and(|after| key <= *after) || !has_tag(&record) {
            continue;
        }
        let value = value_of(record, wanted.is_metadata_only);
        bytes += key.len() + value.to_string().len();
        if page.records.len() == limit || (bytes > bytes_max && !page.records.is_empty()) {
            page.next_cursor = URL_SAFE_NO_PAD.encode(&last);
            break;
        }
        last.clone_from(&key);
        page.records.insert(key, value);
    }
    Ok(page)
}

fn read_cursor(cursor: &str) -> Result<Option<String>, Error> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.map(Some).ok_or(Error::Cursor)
}
