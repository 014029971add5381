//! Quota, usage, errors, free-form settings, resources, sensor version. Source: reference/rest-api.md section 7.1.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::{change_profile, profile};
use crate::app::App;
use crate::clock;
use crate::errors::ORG_ERROR;
use crate::profile::Profile;
use crate::service::{self, OF_SERVICES, Program, Protocol};
use crate::settings::{RESOURCE, SETTING, check_resource, check_setting, require_room};
use muster_api_types::{Done, OrgErrors, QuotaUsage, Resources, Setting, Usage};
use muster_model::Oid;
use muster_store::Expect;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    let resources = "/orgs/{oid}/resources";
    vec![
        Route::new(Get, "/configs/{oid}/{name}", May("org.conf.get"), "A setting", setting)
            .answers::<Setting>("setting_get"),
        Route::new(Post, "/configs/{oid}/{name}", May("org.conf.set"), "Change a setting", set_setting)
            .answers::<Done>("setting_set")
            .needs("value", Kind::Text, "Any text up to 64 KiB"),
        Route::new(Get, "/usage/{oid}", May("org.get"), "How much the organization uses now", usage)
            .answers::<Usage>("usage_get"),
        Route::new(Get, "/errors/{oid}", May("org.get"), "The last error of each component", errors)
            .answers::<OrgErrors>("org_errors_list"),
        Route::new(Delete, "/errors/{oid}/{component}", May("org.conf.set"), "Dismiss an error", dismiss)
            .answers::<Done>("org_error_dismiss"),
        Route::new(Get, "/quota_usage/{oid}", May("org.get"), "Sensors online, and how many may be", quota_usage)
            .answers::<QuotaUsage>("quota_get"),
        Route::new(Post, "/orgs/{oid}/quota", May("org.set_quota"), "Change how many sensors may be online", set_quota)
            .answers::<Done>("quota_set")
            .needs("quota", Kind::Whole(0, u32::MAX as i64), "Sensors; 0 is as many as the server allows"),
        Route::new(Get, resources, May("org.get"), "Resources of the older subscription calls", list_resources)
            .answers::<Resources>("resources_list"),
        Route::new(Post, resources, May("org.conf.set"), "Subscribe to a resource", add_resource)
            .answers::<Done>("resource_add")
            .needs("res_cat", Kind::Text, "Category")
            .needs("res_name", Kind::Text, "Name"),
        Route::new(Delete, resources, May("org.conf.set"), "End the subscription to a resource", remove_resource)
            .answers::<Done>("resource_remove")
            .needs("res_cat", Kind::Text, "Category")
            .needs("res_name", Kind::Text, "Name"),
        Route::new(
            Post,
            "/modules/{oid}",
            May("module.update"),
            "Ask for a version of the sensors; refused, since none replaces itself",
            no_version,
        )
        .refuses("sensor_version_set")
        .query("specific_version", Kind::Text, "Version; absent is the newest")
        .query("is_fallback", Kind::Flag, "true: the version before")
        .query("is_sleep", Kind::Flag, "true: sensors should sleep"),
    ]
}

/// Sensors that may be online; 0 is no limit.
pub(super) fn quota(app: &App, profile: &Profile) -> u32 {
    if profile.sensor_quota == 0 { app.config.limits.sensor_quota } else { profile.sensor_quota }
}

async fn setting(call: Call) -> Result<Reply, ApiError> {
    let name = call.path("name");
    let value = call.app.records.get(call.organization()?.oid, SETTING, name);
    let value = value.ok_or_else(|| ApiError::not_found(format!("no such setting: {name}")))?;
    Ok(Reply::json(&json!({"config": name, "value": value})))
}

async fn set_setting(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = call.path("name");
    let value = call.fields.get("value").ok_or_else(|| ApiError::bad_request("value is required"))?;
    check_setting(name, value)?;
    require_room(&call.app.records, oid, SETTING, name)?;
    // The value may be a secret, so it is not told.
    let entity = json!({"type": "setting", "name": name});
    let beside = call.audit(oid, "setting changed", &entity, "set_config", &json!({}));
    call.app.records.put(oid, SETTING, name, &value.to_owned(), Expect::Any, beside).await?;
    Ok(Reply::done())
}

async fn usage(call: Call) -> Result<Reply, ApiError> {
    let state = call.organization()?.state.lock();
    let now = clock::now();
    let open = state.queue.tasks().filter(|task| !state.queue.is_over(task, now) && !task.open().is_empty()).count();
    Ok(Reply::json(&json!({"usage": {
        "sensors": state.fleet.live().len(), "sensors_online": state.online.len(), "open_reliable_tasks": open,
        "reliable_tasks": state.queue.tasks().count(), "ts": now.as_secs(),
    }})))
}

async fn errors(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let errors = call.app.records.list(oid, ORG_ERROR).into_iter();
    let shown = errors.map(|(component, error)| {
        json!({"component": component, "error": error.error, "ts": error.at.as_secs(), "oid": oid})
    });
    Ok(Reply::json(&json!({"errors": shown.collect::<Vec<Value>>()})))
}

async fn dismiss(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let component = call.path("component");
    if !call.app.records.has(oid, ORG_ERROR, component) {
        return Err(ApiError::not_found(format!("no error of {component}")));
    }
    let entity = json!({"type": "error", "name": component});
    let beside = call.audit(oid, "error dismissed", &entity, "dismiss_error", &json!({}));
    call.app.records.delete(oid, ORG_ERROR, component, beside).await?;
    Ok(Reply::done())
}

async fn quota_usage(call: Call) -> Result<Reply, ApiError> {
    let organization = call.organization()?;
    let (profile, _) = profile(&call.app, organization.oid)?;
    let (usage, quota) = (organization.state.lock().online.len(), quota(&call.app, &profile));
    let breakdown = json!({"edr": {"n": usage, "quota": f64::from(quota)}});
    Ok(Reply::json(&json!({"usage": usage, "quota": quota, "breakdown": breakdown})))
}

async fn set_quota(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let quota = call.fields.number("quota")?.and_then(|quota| u32::try_from(quota).ok());
    let quota = quota.ok_or_else(|| ApiError::bad_request(format!("quota must be 0 to {}", u32::MAX)))?;
    change_profile(&call, oid, "quota changed", "set_quota", &json!({"quota": quota}), |profile| {
        profile.sensor_quota = quota;
    })
    .await
}

async fn list_resources(call: Call) -> Result<Reply, ApiError> {
    let mut by_category: Map<String, Value> = Map::new();
    for (key, _) in call.app.records.list(call.organization()?.oid, RESOURCE) {
        let Some((category, name)) = key.split_once('/') else { continue };
        let names = by_category.entry(category).or_insert_with(|| json!([]));
        if let Some(names) = names.as_array_mut() {
            names.push(json!(name));
        }
    }
    let oid = call.organization()?.oid;
    for service in service::subscriptions(&call.app.records, oid, Protocol::Service) {
        let names = by_category.entry(OF_SERVICES).or_insert_with(|| json!([]));
        names.as_array_mut().into_iter().for_each(|names| names.push(json!(service.name)));
    }
    Ok(Reply::json(&json!({"resources": by_category})))
}

/// The service of others that a resource names, if the organization sees it.
fn service_of(call: &Call, oid: Oid) -> Option<Program> {
    let name = call.fields.get("res_name").filter(|_| call.fields.get("res_cat") == Some(OF_SERVICES))?;
    Some(Program::service(name)).filter(|service| service::find(&call.app.records, oid, service).is_some())
}

fn resource(call: &Call) -> Result<String, ApiError> {
    let text = |name: &str| {
        let value = call.fields.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| ApiError::bad_request(format!("{name} is required")))
    };
    Ok(check_resource(text("res_cat")?, text("res_name")?)?)
}

async fn add_resource(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    if let Some(service) = service_of(&call, oid) {
        call.caller.require(oid, "ext.sub")?;
        let by = service::Changed { actor: &call.actor(), caller: &call.caller };
        call.app.services.subscribe(oid, &service, by).await?;
        return Ok(Reply::done());
    }
    let key = resource(&call)?;
    require_room(&call.app.records, oid, RESOURCE, &key)?;
    let entity = json!({"type": "resource", "name": key});
    let beside = call.audit(oid, "resource subscribed", &entity, "add_resource", &json!({}));
    call.app.records.put(oid, RESOURCE, &key, &clock::now().as_secs(), Expect::Any, beside).await?;
    Ok(Reply::done())
}

async fn remove_resource(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    if let Some(service) = service_of(&call, oid) {
        call.caller.require(oid, "ext.sub")?;
        let by = service::Changed { actor: &call.actor(), caller: &call.caller };
        call.app.services.unsubscribe(oid, &service, by).await?;
        return Ok(Reply::done());
    }
    let key = resource(&call)?;
    if !call.app.records.has(oid, RESOURCE, &key) {
        return Err(ApiError::not_found(format!("not subscribed to {key}")));
    }
    let entity = json!({"type": "resource", "name": key});
    let beside = call.audit(oid, "resource unsubscribed", &entity, "remove_resource", &json!({}));
    call.app.records.delete(oid, RESOURCE, &key, beside).await?;
    Ok(Reply::done())
}

/// Sensors do not replace themselves here, so that to accept this would promise what nobody does.
async fn no_version(call: Call) -> Result<Reply, ApiError> {
    let sensors = call.organization()?.state.lock().fleet.live().len();
    Err(ApiError::bad_request(format!(
        "none of the {sensors} sensors changes its version by itself: replace the program on the endpoints, \
         for example with muster-sensor install; nothing was changed"
    )))
}
