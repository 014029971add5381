//! Lookups of an organization, as rules see them. Source: reference/detection-response.md section 19.

use super::{HiveRecord, LOOKUPS, Place};
use crate::records::Records;
use crate::service::Published;
use muster_model::Oid;
use muster_rules::{Resources, YamlBounds};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The YAML of a lookup: millions of entries; the bytes of a record bound it before this does.
const YAML_BOUNDS: YamlBounds = YamlBounds { depth: 46, values: 16_000_000, text_bytes: 256 << 20 };

/// Lookups by name, and what services publish. A disabled lookup is there and empty: it silently misses every key.
#[derive(Clone, Default)]
pub struct Lookups {
    stored: BTreeMap<String, Keys>,
    published: Arc<Published>,
}

impl Lookups {
    /// The stored lookups of an organization.
    #[must_use]
    pub fn load(records: &Records, oid: Oid, published: Published) -> Self {
        let mut lookups = Self { published: Arc::new(published), ..Self::default() };
        for (name, record) in records.list(oid, LOOKUPS.kind) {
            lookups.put(name, &record);
        }
        lookups
    }

    /// These, with what services publish now.
    pub(crate) fn seeing(mut self: Arc<Self>, published: Published) -> Arc<Self> {
        Arc::make_mut(&mut self).published = Arc::new(published);
        self
    }

    /// What services publish.
    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    /// These, with what is stored now of those that changed.
    pub(crate) fn after(self: &Arc<Self>, records: &Records, oid: Oid, changed: &BTreeSet<Place>) -> Arc<Self> {
        let mut lookups = Arc::clone(self);
        for (_, name) in changed.iter().filter(|(hive, _)| *hive == LOOKUPS.name) {
            let after = Arc::make_mut(&mut lookups);
            match records.get(oid, LOOKUPS.kind, name) {
                Some(record) => after.put(name.clone(), &record),
                None => after.remove(name),
            }
        }
        lookups
    }

    /// Which are stored, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.stored.keys()
    }

    /// Adds or replaces a lookup.
    pub fn put(&mut self, name: String, record: &HiveRecord) {
        let is_enabled = record.usr_mtd.enabled;
        let keys = if is_enabled { Keys::read(&record.data).unwrap_or_default() } else { Keys::default() };
        self.stored.insert(name, keys);
    }

    /// Takes a lookup away.
    pub fn remove(&mut self, name: &str) {
        self.stored.remove(name);
    }
}

impl Resources for Lookups {
    fn has_lookup(&self, name: &str) -> bool {
        self.stored.contains_key(name) || self.published.has(name)
    }

    fn find(&self, lookup: &str, key: &str) -> Option<&Value> {
        match self.stored.get(lookup) {
            Some(stored) => stored.0.get(key).filter(|metadata| !metadata.is_null()),
            None => self.published.find(lookup, key),
        }
    }

    fn detection(&self, reference: &str) -> Option<&Value> {
        self.published.detection(reference)
    }
}

/// The keys of a lookup with their metadata, in half of what an ordered map takes.
#[derive(Clone, Default)]
pub(super) struct Keys(Arc<HashMap<Box<str>, Value>>);

impl Keys {
    /// Reads the content of a record.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(data: &Value) -> Result<Self, String> {
        let copied = |(key, metadata): (&String, &Value)| (key.as_str().into(), metadata.clone());
        if let Some(keys) = data.get("lookup_data").filter(|keys| !keys.is_null()) {
            let keys = keys.as_object().ok_or("lookup_data must be an object")?;
            return Ok(keys.iter().map(copied).collect());
        }
        if let Some(lines) = data.get("newline_content").and_then(Value::as_str) {
            let keys = lines.lines().map(str::trim).filter(|line| !line.is_empty());
            return Ok(keys.map(|key| (key.into(), json!({}))).collect());
        }
        if let Some(yaml) = data.get("yaml_content").and_then(Value::as_str) {
            let read = muster_rules::read_yaml(yaml, YAML_BOUNDS).map_err(|error| format!("yaml_content: {error}"))?;
            let keys = read.as_object().ok_or("yaml_content must be an object")?;
            return Ok(keys.iter().map(copied).collect());
        }
        Err("a lookup needs one of lookup_data, newline_content, yaml_content".to_owned())
    }
}

impl FromIterator<(Box<str>, Value)> for Keys {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Value)>>(keys: I) -> Self {
        Self(Arc::new(keys.into_iter().collect()))
    }
}
