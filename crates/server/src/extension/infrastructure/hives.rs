//! Hives, and the older sections `rules` and `fps` on the same records.

use super::document::Document;
use super::plan::{Place, Plan, Wanted};
use crate::extension::Error;
use crate::hive::{
    self, Change, Checker, EXTENSION_CONFIG, FALSE_POSITIVES, HIVES, Hive, HiveRecord, LOOKUPS, RULE_HIVES,
    UserMetadata, Verb,
};
use crate::service;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rules whose name begins so belong to services: the older section leaves them alone.
const OF_SERVICES: &str = "__";

type Stored = BTreeMap<String, HiveRecord>;

/// What the document says of the records of one hive.
type Entries = BTreeMap<String, Entry>;

/// What the document says of one record.
struct Entry {
    data: Value,
    usr_mtd: Option<UserMetadata>,
    /// Tells whether what is stored is the same.
    is_same: fn(&HiveRecord, &Entry) -> bool,
}

/// Plans the hives and the older sections, as far as they are asked for.
pub(super) fn plan(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    let mut known = BTreeMap::new();
    for (name, records) in document.object("hives")? {
        if !plan.options.wants_hive(name) {
            continue;
        }
        match hive::find(name) {
            Some(hive) => _ = known.insert(hive.name, records),
            None if records.as_object().is_none_or(serde_json::Map::is_empty) => {}
            None => plan.unknown(&format!("hives/{name}"), "there is no such hive on this server"),
        }
    }
    // Planning has a thread of its own, which may wait for what services publish.
    for rules in known.values().copied().chain(document.section("rules")) {
        tokio::runtime::Handle::current().block_on(plan.extensions.services.fetch_named(plan.oid, rules));
    }
    let mut checker = plan.extensions.hives.checker(plan.oid);
    let mut older = Older::read(plan, document)?;
    // Lookups come first: the rules of the same document may refer to them.
    let first = |hive: &&&'static Hive| hive.name == LOOKUPS.name;
    let in_order = HIVES.iter().filter(first).chain(HIVES.iter().filter(|hive| !first(hive)));
    for hive in in_order.filter(|hive| plan.options.wants_hive(hive.name)).collect::<Vec<_>>() {
        let older = older.by_hive.remove(hive.name).unwrap_or_default();
        whole_hive(plan, &mut checker, hive, known.get(hive.name).copied(), older)?;
    }
    if plan.options.wants("rules") {
        rules(plan, &mut checker, &mut older)?;
    }
    if plan.options.wants("fps") && !plan.options.wants_hive(FALSE_POSITIVES.name) {
        let entries = older.by_hive.remove(FALSE_POSITIVES.name).unwrap_or_default();
        false_positives(plan, &mut checker, entries)?;
    }
    Ok(())
}

fn place_of(hive: &Hive, element: &'static str) -> Place<HiveRecord> {
    Place {
        element,
        kind: hive.kind,
        records_max: hive::RECORDS_MAX,
        read: hive.permission(Verb::Get),
        set: hive.permission(Verb::Set),
        delete: hive.permission(Verb::Delete),
        when_set: ("hive record set", "set_hive_record"),
        when_deleted: ("hive record deleted", "delete_hive_record"),
        entity: json!({"type": "hive", "hive": hive.name}),
    }
}

/// What stands under a key: a record with `data`, or the bare content, as some published examples have it.
fn entry_of(value: &Value) -> Result<Entry, Error> {
    let record = value.as_object().ok_or_else(|| Error::invalid("a record must be an object"))?;
    let is_record = record.contains_key("data") || record.contains_key("usr_mtd");
    let data = if is_record { record.get("data").cloned().unwrap_or_default() } else { value.clone() };
    let usr_mtd = match record.get("usr_mtd").filter(|_| is_record) {
        None | Some(Value::Null) => None,
        Some(Value::Object(block)) => Some(UserMetadata::read(block)?),
        Some(_) => return Err(Error::invalid("usr_mtd must be an object")),
    };
    let is_same = |stored: &HiveRecord, entry: &Entry| {
        stored.data == entry.data && entry.usr_mtd.as_ref().is_none_or(|usr_mtd| *usr_mtd == stored.usr_mtd)
    };
    Ok(Entry { data, usr_mtd, is_same })
}

fn whole_hive(
    plan: &mut Plan<'_>,
    checker: &mut Checker,
    hive: &'static Hive,
    records: Option<&Value>,
    older: Entries,
) -> Result<(), Error> {
    if !plan.may(hive.permission(Verb::Get))? {
        return Ok(());
    }
    let section = format!("hives/{}", hive.name);
    let records = match records {
        None | Some(Value::Null) => None,
        Some(Value::Object(records)) => Some(records),
        Some(_) => return Err(Error::invalid(format!("config: {section} must be an object"))),
    };
    // Where a record stands in both, the hive says more than the older section.
    let mut entries = older;
    for (key, value) in records.into_iter().flatten() {
        if let Some(entry) = plan.accept(&format!("{section}/{key}"), entry_of(value)) {
            entries.insert(key.clone(), entry);
        }
    }
    let name = |key: &str| format!("{}/{key}", hive.name);
    mirror(plan, checker, hive, ("hives", &section), entries, &name, |_| true)
}

/// Plans the records of one hive; `may_go` says which of those that the document lacks are its to delete.
fn mirror(
    plan: &mut Plan<'_>,
    checker: &mut Checker,
    hive: &'static Hive,
    (element, section): (&'static str, &str),
    entries: Entries,
    name: &dyn Fn(&str) -> String,
    may_go: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let mut stored: Stored = hive::list(&plan.extensions.hives, hive, plan.oid).into_iter().collect();
    let is_gone = |key: &&String| plan.options.is_force && !entries.contains_key(*key) && may_go(key);
    let goes: Vec<(String, String)> = stored.keys().filter(is_gone).map(|key| (key.clone(), name(key))).collect();
    let mut wanted = BTreeMap::new();
    for (key, entry) in entries {
        let at = format!("{section}/{key}");
        let before = stored.remove(&key);
        if before.as_ref().is_some_and(|before| (entry.is_same)(before, &entry)) {
            wanted.insert(key.clone(), Wanted::new(name(&key), None));
            continue;
        }
        let change = Change { data: Some(entry.data), usr_mtd: entry.usr_mtd, etag: None };
        let Some(record) = plan.accept(&at, hive::after(hive, &key, before, change, plan.actor)) else {
            continue;
        };
        let checked = checker.check(hive, &key, &record.data);
        let allowed =
            plan.extensions.hives.require_rights(plan.oid, hive, &record.data, |permission| plan.has(permission));
        let is_right = plan.accept(&at, checked).is_some() && plan.accept(&at, allowed).is_some();
        if is_right && plan.accept(&at, shown(plan, hive, &key, &record)).is_some() {
            if hive.name == LOOKUPS.name {
                Arc::make_mut(&mut checker.lookups).put(key.clone(), &record);
            }
            wanted.insert(key.clone(), Wanted::new(name(&key), Some(record)));
        }
    }
    if hive.name == LOOKUPS.name {
        for (key, _) in &goes {
            Arc::make_mut(&mut checker.lookups).remove(key);
        }
    }
    let changed = plan.mirror(&place_of(hive, element), wanted, goes)?;
    plan.put_in_force(hive, changed);
    Ok(())
}

/// Shows the configuration of an extension to that extension, which may refuse it. Planning has a thread of its own, which
/// may wait.
fn shown(plan: &Plan<'_>, hive: &Hive, key: &str, record: &HiveRecord) -> Result<(), service::Error> {
    if hive.name != EXTENSION_CONFIG.name {
        return Ok(());
    }
    let checking = plan.extensions.services.check_config(plan.oid, key, &record.data, &plan.actor.identity);
    tokio::runtime::Handle::current().block_on(checking)
}

/// The hive of a namespace, which has an older name too.
fn hive_of(namespace: &str) -> Option<&'static Hive> {
    let namespace = if namespace == "replicant" { "service" } else { namespace };
    RULE_HIVES.into_iter().find(|hive| hive.namespace() == Some(namespace))
}

/// The rule of an older section: in force unless it says otherwise.
fn rule_of(rule: &Value) -> Result<(&'static Hive, Entry), Error> {
    let wrong = |what: &str| Error::invalid(what);
    let namespace = rule.get("namespace").map_or(Some("general"), Value::as_str).filter(|name| !name.is_empty());
    let hive = namespace.and_then(hive_of).ok_or_else(|| wrong("namespace must be general, managed or service"))?;
    let detect = rule.get("detect").ok_or_else(|| wrong("a rule needs detect"))?;
    let respond = rule.get("respond").cloned().unwrap_or(Value::Null);
    let enabled = rule.get("is_enabled").filter(|enabled| !enabled.is_null());
    let enabled =
        enabled.map_or(Some(true), Value::as_bool).ok_or_else(|| wrong("is_enabled must be true or false"))?;
    let is_same = |stored: &HiveRecord, entry: &Entry| {
        let same = |part: &str| stored.data[part] == entry.data[part];
        same("detect")
            && same("respond")
            && entry.usr_mtd.as_ref().is_none_or(|usr_mtd| usr_mtd.enabled == stored.usr_mtd.enabled)
    };
    let usr_mtd = Some(UserMetadata { enabled, ..UserMetadata::default() });
    Ok((hive, Entry { data: json!({"detect": detect, "respond": respond}), usr_mtd, is_same }))
}

/// Older sections know nothing of labels, comments and expiry: what is stored of them stays.
fn keep_metadata(plan: &Plan<'_>, hive: &Hive, key: &str, entry: &mut Entry) {
    let stored = hive::get(&plan.extensions.hives, hive, plan.oid, key).ok();
    if let (Some(stored), Some(usr_mtd)) = (stored, entry.usr_mtd.as_mut()) {
        *usr_mtd = UserMetadata { enabled: usr_mtd.enabled, ..stored.usr_mtd };
    }
}

/// The older sections, told apart by the hive that keeps their records. Who asks for a whole hive means them, too:
/// newer clients do not know how to ask for these sections.
#[derive(Default)]
struct Older {
    by_hive: BTreeMap<&'static str, Entries>,
    /// Where each rule is to be.
    places: BTreeMap<String, &'static Hive>,
}

impl Older {
    fn read(plan: &mut Plan<'_>, document: &Document) -> Result<Self, Error> {
        let mut older = Self::default();
        if plan.options.wants("rules") || RULE_HIVES.iter().any(|hive| plan.options.wants_hive(hive.name)) {
            for (key, rule) in document.object("rules")? {
                if let Some((hive, entry)) = plan.accept(&format!("rules/{key}"), rule_of(rule)) {
                    older.places.insert(key.clone(), hive);
                    older.put(plan, hive, key, entry);
                }
            }
        }
        if plan.options.wants("fps") || plan.options.wants_hive(FALSE_POSITIVES.name) {
            for (key, rule) in document.object("fps")? {
                let is_same = |stored: &HiveRecord, entry: &Entry| stored.data == entry.data;
                let usr_mtd = Some(UserMetadata { enabled: true, ..UserMetadata::default() });
                let entry = Entry { data: rule.get("data").cloned().unwrap_or_default(), usr_mtd, is_same };
                older.put(plan, &FALSE_POSITIVES, key, entry);
            }
        }
        Ok(older)
    }

    fn put(&mut self, plan: &Plan<'_>, hive: &'static Hive, key: &str, mut entry: Entry) {
        keep_metadata(plan, hive, key, &mut entry);
        self.by_hive.entry(hive.name).or_default().insert(key.to_owned(), entry);
    }
}

fn rules(plan: &mut Plan<'_>, checker: &mut Checker, older: &mut Older) -> Result<(), Error> {
    let hives = RULE_HIVES.into_iter().filter(|hive| !plan.options.wants_hive(hive.name)).collect::<Vec<_>>();
    for hive in hives {
        let entries = older.by_hive.remove(hive.name).unwrap_or_default();
        // A namespace that the caller may not see is none of this document's business.
        if entries.is_empty() && plan.may(hive.permission(Verb::Get)).is_err() {
            continue;
        }
        if plan.may(hive.permission(Verb::Get))? {
            let (extensions, oid, places) = (plan.extensions, plan.oid, &older.places);
            // A rule of this name in two namespaces stands in a document once; one that moves goes from its old place.
            let has_both =
                |key: &str| places.get(key).is_some_and(|place| extensions.records.has(oid, place.kind, key));
            let may_go = |key: &str| !key.starts_with(OF_SERVICES) && !has_both(key);
            mirror(plan, checker, hive, ("dr-rule", "rules"), entries, &str::to_owned, may_go)?;
        }
    }
    Ok(())
}

fn false_positives(plan: &mut Plan<'_>, checker: &mut Checker, entries: Entries) -> Result<(), Error> {
    if !plan.may(FALSE_POSITIVES.permission(Verb::Get))? {
        return Ok(());
    }
    mirror(plan, checker, &FALSE_POSITIVES, ("fp-rule", "fps"), entries, &str::to_owned, |_| true)
}
