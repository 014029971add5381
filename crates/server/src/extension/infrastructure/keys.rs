//! Installation keys. A document knows them by description, labels and flags: ids and
//! secrets never leave the server this way, and a changed key keeps both.

use super::document::Document;
use super::plan::{Place, Plan, Wanted};
use crate::access::{
    INSTALLATION_KEY, INSTALLATION_KEYS_MAX, InstallationKeyRecord, check_installation_key, fresh_installation_key,
};
use crate::extension::Error;
use crate::random;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A key as the document has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Described {
    description: String,
    tags: Vec<String>,
    use_public_root_ca: bool,
}

impl Described {
    fn of(record: &InstallationKeyRecord) -> Self {
        let mut tags = record.tags.clone();
        tags.sort();
        Self { description: record.description.clone(), tags, use_public_root_ca: record.use_public_root_ca }
    }

    /// Reads an item; `name` is the key that it stands under in the form of a map.
    fn read(item: &Value, name: Option<&str>) -> Result<Self, Error> {
        let wrong = |what: &str| Error::invalid(what);
        let description = item.get("desc").filter(|desc| !desc.is_null()).and_then(Value::as_str).or(name);
        let description = description.ok_or_else(|| wrong("desc is required"))?.to_owned();
        let mut tags: Vec<String> = match item.get("tags") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(tags)) => tags.split(',').map(|tag| tag.trim().to_owned()).collect(),
            Some(Value::Array(tags)) => {
                let tags: Option<_> = tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect();
                tags.ok_or_else(|| wrong("tags must be a list of texts"))?
            }
            Some(_) => return Err(wrong("tags must be a list of texts")),
        };
        tags.retain(|tag| !tag.is_empty());
        tags.sort();
        tags.dedup();
        let use_public_root_ca = match item.get("use_public_root_ca") {
            None | Some(Value::Null) => false,
            Some(flag) => flag.as_bool().ok_or_else(|| wrong("use_public_root_ca must be true or false"))?,
        };
        Ok(Self { description, tags, use_public_root_ca })
    }
}

/// The section of these keys: a list, since descriptions need not be unique.
pub(super) fn section(keys: &[(String, InstallationKeyRecord)]) -> Value {
    let mut keys: Vec<Described> = keys.iter().map(|(_, record)| Described::of(record)).collect();
    keys.sort();
    let shown = |key: Described| json!({"desc": key.description, "tags": key.tags, "use_public_root_ca": key.use_public_root_ca});
    keys.into_iter().map(shown).collect()
}

/// Plans the installation keys, if they are asked for.
pub(super) fn plan(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    // Who leaves the section out does not mean to lose all keys.
    let Some(section) = document.section("installation_keys").filter(|_| plan.options.wants("installation_keys"))
    else {
        return Ok(());
    };
    if !plan.may("ikey.list")? {
        return Ok(());
    }
    let place = Place {
        element: "installation_key",
        kind: INSTALLATION_KEY,
        records_max: INSTALLATION_KEYS_MAX,
        read: "ikey.list",
        set: "ikey.set",
        delete: "ikey.del",
        when_set: ("installation key set", "set_installation_key"),
        when_deleted: ("installation key deleted", "delete_installation_key"),
        entity: json!({"type": "installation_key"}),
    };
    let items: Vec<(Option<&str>, &Value)> = match section {
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Value::Object(items) => items.iter().map(|(name, item)| (Some(name.as_str()), item)).collect(),
        _ => return Err(Error::invalid("config: installation_keys must be a list")),
    };
    let mut stored: Vec<(String, InstallationKeyRecord)> = plan.extensions.records.list(plan.oid, INSTALLATION_KEY);
    let mut wanted = BTreeMap::new();
    let mut differs = Vec::new();
    for (number, (name, item)) in items.into_iter().enumerate() {
        let at = format!("installation_keys/{}", name.map_or_else(|| number.to_string(), str::to_owned));
        let Some(key) = plan.accept(&at, Described::read(item, name)) else { continue };
        match stored.iter().position(|(_, record)| Described::of(record) == key) {
            Some(found) => {
                let (iid, _) = stored.swap_remove(found);
                wanted.insert(iid, Wanted::new(key.description, None));
            }
            None => differs.push((at, key)),
        }
    }
    for (at, key) in differs {
        let tags: Vec<&str> = key.tags.iter().map(String::as_str).collect();
        if plan.accept(&at, check_installation_key(&key.description, &tags)).is_none() {
            continue;
        }
        let (iid, record) = match stored.iter().position(|(_, record)| record.description == key.description) {
            Some(found) => stored.swap_remove(found),
            None => (random::uuid().to_string(), fresh_installation_key()),
        };
        let Described { description, tags, use_public_root_ca } = key;
        let name = description.clone();
        wanted.insert(
            iid,
            Wanted::new(name, Some(InstallationKeyRecord { description, tags, use_public_root_ca, ..record })),
        );
    }
    let goes = stored.into_iter().map(|(iid, record)| (iid, record.description)).collect();
    plan.mirror(&place, wanted, goes).map(|_| ())
}
