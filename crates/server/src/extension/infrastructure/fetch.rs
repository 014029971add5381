//! Writing the configuration down.

use super::Rights;
use super::keys;
use super::options::Options;
use super::sections::{bare_artifact_rule, bare_output, is_temporary};
use crate::access::{INSTALLATION_KEY, Reach, Sight};
use crate::artifact::ARTIFACT_RULE;
use crate::extension::{Error, Extensions, SUBSCRIPTION};
use crate::hive::{self, FALSE_POSITIVES, LISTING_BYTES_MAX, RULE_HIVES, Verb};
use crate::intake::event::Actor;
use crate::output::OUTPUT;
use crate::records::{Kept, Kind};
use crate::service::{self, OF_SERVICES, Protocol};
use crate::settings::{RESOURCE, SETTING};
use muster_model::Oid;
use serde_json::{Map, Value, json};

/// The sections that are asked for. Sections and hives that this server does not have are left out.
pub(super) fn fetch(
    extensions: &Extensions,
    oid: Oid,
    options: &Options,
    rights: &Rights,
    actor: &Actor,
) -> Result<Value, Error> {
    let seen = Seen { extensions, oid, reach: Reach::of(&extensions.records, oid, actor) };
    let mut document = Map::from_iter([("version".to_owned(), json!(3))]);
    let mut put = |name: &str, permission: &str, section: &dyn Fn() -> Value| {
        if options.wants(name) {
            rights.require(permission)?;
            document.insert(name.to_owned(), section());
        }
        Ok::<(), Error>(())
    };
    put("outputs", "output.list", &|| {
        let outputs = extensions.delivery.list(oid).into_iter();
        let outputs = outputs.filter(|(name, settings)| !is_temporary(settings) && seen.has(OUTPUT, name));
        outputs.map(|(name, settings)| (name, Value::Object(bare_output(&settings)))).collect()
    })?;
    put("resources", "org.get", &|| resources(extensions, oid))?;
    put("extensions", "org.get", &|| {
        let built_in = extensions.records.list(oid, SUBSCRIPTION).into_iter().map(|(name, _)| name);
        let of_others = service::subscriptions(&extensions.records, oid, Protocol::Extension).into_iter();
        built_in.chain(of_others.map(|extension| extension.name)).collect()
    })?;
    put("org-value", "org.conf.get", &|| {
        extensions.records.list(oid, SETTING).into_iter().map(|(name, value)| (name, Value::from(value))).collect()
    })?;
    put("artifact", "insight.list", &|| {
        let rules = seen.list(ARTIFACT_RULE).into_iter();
        rules.map(|(name, rule)| (name, bare_artifact_rule(&rule))).collect()
    })?;
    put("installation_keys", "ikey.list", &|| keys::section(&seen.list(INSTALLATION_KEY)))?;
    put("fps", FALSE_POSITIVES.permission(Verb::Get), &|| {
        let rules = seen.list(FALSE_POSITIVES.kind).into_iter();
        rules.map(|(name, record)| (name.clone(), json!({"name": name, "data": record.data}))).collect()
    })?;
    if options.wants("rules") {
        document.insert("rules".into(), rules(&seen, rights));
    }
    let hives = hives(&seen, options, rights)?;
    if !hives.is_empty() {
        document.insert("hives".into(), Value::Object(hives));
    }
    Ok(Value::Object(document))
}

/// What the caller sees: a document has nothing of which they see the outline alone.
struct Seen<'a> {
    extensions: &'a Extensions,
    oid: Oid,
    reach: Reach<'a>,
}

impl Seen<'_> {
    fn has<T>(&self, kind: Kind<T>, key: &str) -> bool {
        self.reach.sight(kind, key) == Sight::Whole
    }

    fn list<T: Kept>(&self, kind: Kind<T>) -> Vec<(String, T)> {
        let mut all = self.extensions.records.list(self.oid, kind);
        all.retain(|(key, _)| self.has(kind, key));
        all
    }
}

fn resources(extensions: &Extensions, oid: Oid) -> Value {
    let mut by_category: Map<String, Value> = Map::new();
    for (key, _) in extensions.records.list(oid, RESOURCE) {
        let Some((category, name)) = key.split_once('/') else { continue };
        if let Value::Array(names) = by_category.entry(category).or_insert_with(|| json!([])) {
            names.push(json!(name));
        }
    }
    for service in service::subscriptions(&extensions.records, oid, Protocol::Service) {
        let names = by_category.entry(OF_SERVICES).or_insert_with(|| json!([]));
        names.as_array_mut().into_iter().for_each(|names| names.push(json!(service.name)));
    }
    Value::Object(by_category)
}

/// The rules of every namespace that the caller may see; where two have one name, the first.
fn rules(seen: &Seen<'_>, rights: &Rights) -> Value {
    let mut rules = Map::new();
    for hive in RULE_HIVES.into_iter().filter(|hive| rights.may(hive.permission(Verb::Get))) {
        for (name, record) in seen.list(hive.kind) {
            if name.starts_with("__") || rules.contains_key(&name) {
                continue;
            }
            let rule = json!({
                "name": name, "namespace": hive.namespace(), "is_enabled": record.usr_mtd.enabled,
                "detect": record.data["detect"], "respond": record.data["respond"],
            });
            rules.insert(name, rule);
        }
    }
    Value::Object(rules)
}

fn hives(seen: &Seen<'_>, options: &Options, rights: &Rights) -> Result<Map<String, Value>, Error> {
    let (mut hives, mut bytes) = (Map::new(), 0);
    for hive in options.hives().filter_map(hive::find) {
        rights.require(hive.permission(Verb::Get))?;
        let mut records = Map::new();
        for (key, record) in seen.list(hive.kind) {
            let usr_mtd = json!(record.usr_mtd);
            let record = Value::Object(Map::from_iter([("data".into(), record.data), ("usr_mtd".into(), usr_mtd)]));
            bytes += key.len() + record.to_string().len();
            if bytes > LISTING_BYTES_MAX {
                return Err(Error::TooLarge);
            }
            records.insert(key, record);
        }
        hives.insert(hive.name.to_owned(), Value::Object(records));
    }
    Ok(hives)
}
