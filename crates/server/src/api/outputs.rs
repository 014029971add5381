//! Outputs. Source: reference/rest-api.md section 7.6, reference/events.md section 11.1.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use muster_api_types::{Done, Output, OutputStandings, OutputTrial, Outputs};
use serde_json::{Map, Value, json};

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/outputs/{oid}", Access::May("output.list"), "All outputs", list)
            .answers::<Outputs>("outputs_list"),
        Route::new(Method::Post, "/outputs/{oid}", Access::May("output.set"), "Creates or replaces an output", set)
            .answers::<Output>("output_set")
            .needs("name", Kind::Text, "name of the output")
            .needs(
                "module",
                Kind::OneOf(&["file", "syslog", "webhook", "webhook_bulk"]),
                "file, syslog, webhook or webhook_bulk",
            )
            .needs(
                "type",
                Kind::OneOf(&["event", "detect", "audit", "deployment", "artifact", "tailored"]),
                "event, detect, audit, deployment, artifact or tailored",
            )
            .open(),
        Route::new(
            Method::Get,
            "/outputs/{oid}/standing",
            Access::May("output.list"),
            "What waits for each output, and what came of what it sent",
            standing,
        )
        .answers::<OutputStandings>("outputs_standing"),
        Route::new(
            Method::Post,
            "/outputs/{oid}/test",
            Access::May("output.set"),
            "Delivers the audit record of this call by an output at once, past its queue and filters",
            test,
        )
        .answers::<OutputTrial>("output_test")
        .needs("name", Kind::Text, "name of the output"),
        Route::new(Method::Delete, "/outputs/{oid}", Access::May("output.del"), "Deletes an output", delete)
            .answers::<Done>("output_delete")
            .needs("name", Kind::Text, "name of the output"),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let mut answer = Map::new();
    answer.insert(oid.to_string(), json!(call.app.delivery.list_seen(oid, &call.actor())));
    Ok(Reply::json(&answer))
}

async fn set(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let settings = call.object()?;
    let name = settings.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(ApiError::bad_request("name is required"));
    }
    let actor = call.caller.actor(call.source);
    let stored = call.app.delivery.put(oid, &name, settings, &actor).await?;
    Ok(Reply::json(&stored))
}

fn name(call: &Call) -> Result<&str, ApiError> {
    let name = call.fields.get("name").filter(|name| !name.is_empty());
    name.ok_or_else(|| ApiError::bad_request("name is required"))
}

fn not_found() -> ApiError {
    ApiError::not_found("output not found")
}

async fn standing(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let outputs = call.app.delivery.standings(oid, &call.actor()).await?;
    Ok(Reply::json(&OutputStandings { outputs }))
}

async fn test(call: Call) -> Result<Reply, ApiError> {
    let (oid, name) = (call.organization()?.oid, name(&call)?);
    let output = call.app.delivery.seen(oid, name, &call.actor()).ok_or_else(not_found)?;
    let entity = json!({"type": "output", "name": name});
    let record = call.audit(oid, "output tested", &entity, "test_output", &json!({}));
    call.app.intake.commit(record.clone()).await?;
    let delivered = call.app.delivery.try_out(&output, &record).await;
    Ok(Reply::json(&OutputTrial { is_delivered: delivered.is_ok(), error: delivered.err() }))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let (oid, name) = (call.organization()?.oid, name(&call)?);
    let actor = call.caller.actor(call.source);
    match call.app.delivery.delete(oid, name, &actor).await? {
        true => Ok(Reply::done()),
        false => Err(not_found()),
    }
}
