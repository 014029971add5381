//! Outputs, resources, subscriptions, settings and collection rules of artifacts.

use super::document::Document;
use super::plan::{Place, Plan, Wanted};
use crate::artifact::{self, ARTIFACT_RULE, ARTIFACT_RULES_MAX};
use crate::clock;
use crate::extension::{BUILT_IN, Error, SUBSCRIPTION, Subscription};
use crate::output::{self, OUTPUT, OUTPUTS_MAX};
use crate::service::{self, OF_SERVICES, Program, Protocol};
use crate::settings::{RESOURCE, SETTING, SETTINGS_MAX, check_resource, check_setting};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What subscribing takes.
const SUBSCRIBES: &str = "ext.sub";

/// Plans these sections, as far as they are asked for.
pub(super) fn plan(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    if plan.options.wants("resources") {
        resources(plan, document)?;
    }
    if plan.options.wants("extensions") {
        extensions(plan, document)?;
    }
    if plan.options.wants("org-value") {
        settings(plan, document)?;
    }
    if plan.options.wants("outputs") {
        outputs(plan, document)?;
    }
    if plan.options.wants("artifact") {
        artifact_rules(plan, document)?;
    }
    Ok(())
}

/// Elements that are stored and not wanted any more, with their names.
fn gone<T, S>(stored: &BTreeMap<String, S>, wanted: &BTreeMap<String, Wanted<T>>) -> Vec<(String, String)> {
    let gone = stored.keys().filter(|key| !wanted.contains_key(*key));
    gone.map(|key| (key.clone(), key.clone())).collect()
}

/// An output that lives as long as it can be reached: it belongs to a client, not to the configuration.
pub(super) fn is_temporary(settings: &Map<String, Value>) -> bool {
    let flag =
        settings.get("is_delete_on_failure").map(|flag| flag.as_str().map_or_else(|| flag.to_string(), str::to_owned));
    flag.is_some_and(|flag| ["true", "True", "TRUE", "1"].contains(&flag.as_str()))
}

/// The settings of an output as the document has them.
pub(super) fn bare_output(settings: &Map<String, Value>) -> Map<String, Value> {
    let mut bare = settings.clone();
    for name in ["name", "oid", "by"] {
        bare.remove(name);
    }
    if let Some(feed) = bare.remove("type") {
        bare.insert("for".into(), feed);
    }
    if bare.get("for").and_then(Value::as_str) == Some("detection") {
        bare.insert("for".into(), "detect".into());
    }
    bare.retain(|_, value| !value.is_null());
    bare
}

/// Settings came as text or as JSON: `"true"` and `true` are the same.
fn texts(settings: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    bare_output(settings).iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn outputs(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    let place = Place {
        element: "output",
        kind: OUTPUT,
        records_max: OUTPUTS_MAX,
        read: "output.list",
        set: "output.set",
        delete: "output.del",
        when_set: ("output set", "set_output"),
        when_deleted: ("output deleted", "delete_output"),
        entity: json!({"type": "output"}),
    };
    if !plan.may(place.read)? {
        return Ok(());
    }
    let stored = plan.extensions.delivery.list(plan.oid);
    let mut wanted = BTreeMap::new();
    for (name, settings) in document.object("outputs")? {
        let at = format!("outputs/{name}");
        let Some(settings) = settings.as_object() else {
            plan.error(&at, "an output must be an object of settings");
            continue;
        };
        if stored.get(name).is_some_and(|stored| texts(stored) == texts(settings)) {
            wanted.insert(name.clone(), Wanted::new(name, None));
            continue;
        }
        // Planning has a thread of its own, which may wait for a name to be resolved.
        let checking = plan.extensions.delivery.checked(plan.oid, name, bare_output(settings));
        let checked = tokio::runtime::Handle::current().block_on(checking);
        if let Err(output::Error::Unavailable(why)) = &checked {
            plan.unknown(&at, why);
        } else if let Some(checked) = plan.accept(&at, checked) {
            wanted.insert(name.clone(), Wanted::new(name, Some(checked)));
        }
    }
    let section = document.section("outputs");
    // What was passed over is not what the document lacks.
    let is_lacking = |name: &str| section.is_none_or(|section| section.get(name).is_none());
    let goes = gone(&stored, &wanted).into_iter();
    let goes = goes.filter(|(name, _)| is_lacking(name) && !is_temporary(&stored[name])).collect();
    let kept: Vec<String> = wanted.keys().cloned().collect();
    for name in plan.mirror(&place, wanted, goes)? {
        let is_replaced = stored.contains_key(&name) && kept.contains(&name);
        let write = (!is_replaced).then(|| output::forget_all(plan.oid, &name));
        plan.restart_output(&name, write);
    }
    Ok(())
}

fn resources(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    let place = Place {
        element: "resource",
        kind: RESOURCE,
        records_max: SETTINGS_MAX,
        read: "org.get",
        set: "org.conf.set",
        delete: "org.conf.set",
        when_set: ("resource subscribed", "add_resource"),
        when_deleted: ("resource unsubscribed", "remove_resource"),
        entity: json!({"type": "resource"}),
    };
    // Who leaves the section out does not mean to lose all subscriptions.
    if document.section("resources").is_none() || !plan.may(place.read)? {
        return Ok(());
    }
    let stored: BTreeMap<String, i64> = plan.extensions.records.list(plan.oid, RESOURCE).into_iter().collect();
    let (mut wanted, mut services) = (BTreeMap::new(), BTreeSet::new());
    for (category, names) in document.object("resources")? {
        let at = format!("resources/{category}");
        // The category has two names.
        let category = if category == "service" { "replicant" } else { category.as_str() };
        let names = names.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(names) = names else {
            plan.error(&at, "must be a list of names");
            continue;
        };
        for name in names {
            let service = Program::service(name);
            if category == OF_SERVICES && service::find(&plan.extensions.records, plan.oid, &service).is_some() {
                services.insert(name.to_owned());
            } else if let Some(key) = plan.accept(&at, check_resource(category, name)) {
                let change = (!stored.contains_key(&key)).then(|| clock::now().as_secs());
                wanted.insert(key.clone(), Wanted::new(key, change));
            }
        }
    }
    let goes = gone(&stored, &wanted);
    plan.mirror(&place, wanted, goes)?;
    programs(plan, place.element, Protocol::Service, services)
}

/// Plans to which programs of others the organization is subscribed.
fn programs(
    plan: &mut Plan<'_>,
    element: &'static str,
    protocol: Protocol,
    wanted: BTreeSet<String>,
) -> Result<(), Error> {
    let (extensions, oid) = (plan.extensions, plan.oid);
    let subscribed = service::subscriptions(&extensions.records, oid, protocol);
    // As operations name other elements of the section.
    let named = |name: &str| match protocol {
        Protocol::Service => format!("{OF_SERVICES}/{name}"),
        Protocol::Extension => name.to_owned(),
    };
    for name in &wanted {
        let program = Program { protocol, name: name.clone() };
        if subscribed.contains(&program) {
            plan.stays(element, named(name));
        } else if plan.may(SUBSCRIBES)? {
            let grantable = extensions.services.grantable(oid, &program, plan.caller);
            if plan.accept(&format!("{element}s/{}", named(name)), grantable).is_some() {
                plan.begin(element, named(name), program);
            }
        }
    }
    for program in subscribed {
        if plan.options.is_force && !wanted.contains(&program.name) && plan.may(SUBSCRIBES)? {
            plan.end(element, named(&program.name), program);
        }
    }
    Ok(())
}

fn extensions(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    let place = Place {
        element: "extension",
        kind: SUBSCRIPTION,
        records_max: BUILT_IN.len(),
        read: SUBSCRIBES,
        set: SUBSCRIBES,
        delete: SUBSCRIBES,
        when_set: ("extension subscribed", "subscribe"),
        when_deleted: ("extension unsubscribed", "unsubscribe"),
        entity: json!({"type": "extension"}),
    };
    // As with resources: a section that is left out means nothing.
    let Some(section) = document.section("extensions") else { return Ok(()) };
    if !plan.may(place.read)? {
        return Ok(());
    }
    let stored: BTreeMap<String, Subscription> =
        plan.extensions.records.list(plan.oid, SUBSCRIPTION).into_iter().collect();
    let names = section.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let names = names.ok_or_else(|| Error::invalid("config: extensions must be a list of names"))?;
    let (mut wanted, mut of_others) = (BTreeMap::new(), BTreeSet::new());
    for name in names {
        if !BUILT_IN.contains(&name) {
            match service::find(&plan.extensions.records, plan.oid, &Program::extension(name)) {
                Some(_) => _ = of_others.insert(name.to_owned()),
                None => plan.unknown(
                    &format!("extensions/{name}"),
                    &format!(
                        "no such extension; built in are {}; see the others with extension list",
                        BUILT_IN.join(", ")
                    ),
                ),
            }
            continue;
        }
        let subscription = || Subscription { created_at: clock::now(), by: plan.actor.identity.clone() };
        wanted.insert(name.to_owned(), Wanted::new(name, (!stored.contains_key(name)).then(subscription)));
    }
    let goes = gone(&stored, &wanted);
    plan.mirror(&place, wanted, goes)?;
    programs(plan, place.element, Protocol::Extension, of_others)
}

fn settings(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    let place = Place {
        element: "org-value",
        kind: SETTING,
        records_max: SETTINGS_MAX,
        read: "org.conf.get",
        set: "org.conf.set",
        delete: "org.conf.set",
        when_set: ("setting changed", "set_config"),
        when_deleted: ("setting deleted", "delete_config"),
        entity: json!({"type": "setting"}),
    };
    if !plan.may(place.read)? {
        return Ok(());
    }
    let stored: BTreeMap<String, String> = plan.extensions.records.list(plan.oid, SETTING).into_iter().collect();
    let mut wanted = BTreeMap::new();
    for (name, value) in document.object("org-value")? {
        let value = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => {
                plan.error(&format!("org-value/{name}"), "must be text");
                continue;
            }
        };
        // Documents write what was never set as an empty text.
        let is_same = stored.get(name).map_or("", String::as_str) == value;
        if is_same {
            wanted.insert(name.clone(), Wanted::new(name, None));
        } else if plan.accept(&format!("org-value/{name}"), check_setting(name, &value)).is_some() {
            wanted.insert(name.clone(), Wanted::new(name, Some(value)));
        }
    }
    let goes = gone(&stored, &wanted).into_iter().filter(|(name, _)| !stored[name].is_empty()).collect();
    plan.mirror(&place, wanted, goes).map(|_| ())
}

/// A collection rule as the document has it.
pub(super) fn bare_artifact_rule(rule: &Value) -> Value {
    let mut bare = rule.as_object().cloned().unwrap_or_default();
    for name in ["name", "by", "updated"] {
        bare.remove(name);
    }
    if let Some(Value::Object(filters)) = bare.remove("filters") {
        bare.extend(filters);
    }
    Value::Object(bare)
}

fn artifact_rules(plan: &mut Plan<'_>, document: &Document) -> Result<(), Error> {
    let place = Place {
        element: "artifact",
        kind: ARTIFACT_RULE,
        records_max: ARTIFACT_RULES_MAX,
        read: "insight.list",
        set: "insight.ctrl",
        delete: "insight.ctrl",
        when_set: ("artifact rule set", "set_artifact_rule"),
        when_deleted: ("artifact rule deleted", "delete_artifact_rule"),
        entity: json!({"type": "artifact_rule"}),
    };
    if !plan.may(place.read)? {
        return Ok(());
    }
    let stored: BTreeMap<String, Value> = plan.extensions.records.list(plan.oid, ARTIFACT_RULE).into_iter().collect();
    let mut wanted = BTreeMap::new();
    for (name, rule) in document.object("artifact")? {
        let at = format!("artifact/{name}");
        if !rule.is_object() {
            plan.error(&at, "a collection rule must be an object");
            continue;
        }
        let mut rule = bare_artifact_rule(rule);
        if stored.get(name).is_some_and(|stored| bare_artifact_rule(stored) == rule) {
            wanted.insert(name.clone(), Wanted::new(name, None));
        } else if plan.accept(&at, artifact::check_rule(name, &rule)).is_some() {
            rule["name"] = json!(name);
            wanted.insert(name.clone(), Wanted::new(name, Some(rule)));
        }
    }
    let goes = gone(&stored, &wanted);
    plan.mirror(&place, wanted, goes).map(|_| ())
}
