//! The API description (OpenAPI 3.1), made from the table of routes, so that it cannot lag behind it.

use super::route::Parameter;
use super::{Access, ApiError, Call, Content, Kind, Method, Reply, Route};
use bytes::Bytes;
use muster_api_types::{Error, LiveError, schema};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Page that shows the description in a browser, without anything from elsewhere.
const PAGE: &str = include_str!("description/page.html");

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "//openapi.json", Access::Public, "This description", document_of)
            .answers::<schema::Open>("description_get"),
        Route::new(Method::Get, "//docs", Access::Public, "This description as a page", page)
            .answers_bytes("description_page", "text/html"),
    ]
}

async fn document_of(_call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&document(&super::routes())))
}

async fn page(_call: Call) -> Result<Reply, ApiError> {
    let policy =
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    Ok(Reply::bytes("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()))
        .header("content-security-policy", policy))
}

/// The OpenAPI document of a table of routes.
#[must_use]
pub fn document(routes: &[Route]) -> Value {
    let named = |settings: &mut SchemaSettings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    };
    let mut schemas = SchemaSettings::draft2020_12().for_serialize().with(named).into_generator();
    let failure = |schema: schemars::Schema| {
        json!({
            "description": "What went wrong, and what to do", "content": {"application/json": {"schema": schema}},
        })
    };
    let ours = failure(schemas.subschema_for::<Error>());
    let foreign = failure(schemas.subschema_for::<LiveError>());
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let path = super::router::full_path(route.path);
        let failure = if super::live_response::is_foreign(&path) { &foreign } else { &ours };
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[route.method.name().to_ascii_lowercase()] = operation(route, failure, &mut schemas);
    }
    let mut schemas = schemas.take_definitions(true);
    schemas.values_mut().for_each(absent_is_not_null);
    let mut areas: Vec<&str> = routes.iter().map(|route| route.area).collect();
    areas.dedup();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "muster", "version": env!("CARGO_PKG_VERSION"),
            "description": "REST API of muster. Compatible with the LimaCharlie REST API where a path of that API exists.",
        },
        "tags": areas.iter().map(|area| json!({"name": area})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

/// A field that may be absent is never null: it is left out instead. `schemars` says of every `Option` that it may be.
fn absent_is_not_null(schema: &mut Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, field) in fields.filter(|(name, _)| !required.contains(&Value::from(name.as_str()))) {
        if let Some(types) = field.get_mut("type").filter(|types| types.is_array()) {
            let one = types.as_array().into_iter().flatten().find(|name| *name != "null").cloned();
            *types = one.unwrap_or_default();
        }
        let alternatives = field.get("anyOf").and_then(Value::as_array);
        let one = alternatives.and_then(|all| all.iter().find(|schema| schema["type"] != "null")).cloned();
        if let (Some(Value::Object(one)), Some(field)) = (one, field.as_object_mut()) {
            field.remove("anyOf");
            field.extend(one);
        }
    }
}

fn operation(route: &Route, failure: &Value, schemas: &mut SchemaGenerator) -> Value {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let (about, schema) = (about_path(name), kind_of_path(name).schema());
            json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
        })
        .collect();
    parameters.extend(route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "required": parameter.is_required,
            "description": parameter.about, "schema": parameter.kind.schema(),
        })
    }));
    let mut responses = json!({"default": failure});
    match content(route, schemas) {
        Some(content) => {
            responses[route.status.to_string()] = json!({"description": "Done", "content": content});
        }
        None if matches!(route.content, Content::Nothing) => {
            responses[route.status.to_string()] = json!({"description": "Done"});
        }
        None => {}
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "tags": [route.area],
        "parameters": parameters,
        "responses": responses,
    });
    if route.access != Access::Public {
        operation["security"] = json!([{"token": []}]);
    }
    if let Access::May(permission) = route.access {
        operation["x-permission"] = json!(permission);
    }
    if !route.form.is_empty() {
        operation["requestBody"] =
            json!({"content": {"application/x-www-form-urlencoded": {"schema": fields(&route.form)}}});
    }
    for (name, action, of) in &route.actions {
        operation["x-actions"][*name][*action] = json!(of(schemas));
    }
    operation
}

/// What is in the answer, by media type; none where every answer is an error, or nobody said it.
fn content(route: &Route, schemas: &mut SchemaGenerator) -> Option<Value> {
    match route.content {
        Content::Unsaid | Content::Never | Content::Nothing => None,
        Content::Json(of) => Some(json!({"application/json": {"schema": of(schemas)}})),
        Content::Lines(of) => Some(json!({"application/x-ndjson": {"schema": of(schemas)}})),
        Content::Bytes(media_type) => {
            Some(json!({media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}))
        }
    }
}

/// What a part of a path is; a name means the same in every path.
fn about_path(name: &str) -> &'static str {
    match name {
        "atom" => "Atom of an event, or its event id",
        "command" => "Number of the command in its session, from 0",
        "device" => "Number of the device",
        "file" => "Id of the file",
        "number" => "Id of the session, or its number",
        "session" => "Id of the session, such as 1:37191; where one is opened, the number of the device",
        "component" => "Component, as the list of errors names it",
        "hive" => "Name of the hive, such as dr-general",
        "id" => "Id that the list gives",
        "iid" => "Installation key id",
        "key" => "Name of the record, percent-encoded",
        "oid" => "Organization id",
        "service" => "Name of the service, such as reliable-tasking",
        "sid" => "Sensor id; an agent id, which has it as its third part, is taken too",
        "tag" => "Tag, percent-encoded",
        "token" => "The one-time token of the URL that was given out",
        "type" => "Kind of object, such as domain",
        _ => "Its name",
    }
}

/// What a part of a path must be.
fn kind_of_path(name: &str) -> Kind {
    match name {
        "oid" | "iid" => Kind::Id,
        _ => Kind::Text,
    }
}

fn fields(form: &[Parameter]) -> Value {
    let properties: Map<String, Value> = form
        .iter()
        .map(|field| {
            let mut schema = field.kind.schema();
            schema["description"] = json!(field.about);
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = form.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}
