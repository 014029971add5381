//! The API description (OpenAPI 3.1), made from the table of routes, so that it cannot lag behind it.

use super::route::Parameter;
use super::{Access, ApiError, Call, Method, Reply, Route};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Page that shows the description in a browser, without anything from elsewhere.
const PAGE: &str = include_str!("description/page.html");

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "//openapi.json", Access::Public, "This description", document_of),
        Route::new(Method::Get, "//docs", Access::Public, "This description as a page", page),
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
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let path = super::router::full_path(route.path);
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[route.method.name().to_ascii_lowercase()] = operation(route);
    }
    let mut areas: Vec<&str> = routes.iter().map(|route| route.area).collect();
    areas.dedup();
    let error = json!({
        "type": "object", "required": ["error"],
        "properties": {"error": {"type": "string"}, "error_code": {"type": "string"}},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "muster", "version": env!("CARGO_PKG_VERSION"),
            "description": "REST API of muster. Compatible with the LimaCharlie REST API where a path of that API exists.",
        },
        "tags": areas.iter().map(|area| json!({"name": area})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": {"Error": error},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

fn operation(route: &Route) -> Value {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let about = about_path(name);
            json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string"}})
        })
        .collect();
    parameters.extend(route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "required": parameter.is_required,
            "description": parameter.about, "schema": {"type": "string"},
        })
    }));
    let failure = json!({
        "description": "What went wrong, and what to do",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    });
    let mut operation = json!({
        "summary": route.summary,
        "tags": [route.area],
        "parameters": parameters,
        "responses": {"200": {"description": "Done"}, "default": failure},
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
    operation
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
        "sid" => "Sensor id",
        "tag" => "Tag, percent-encoded",
        "token" => "The one-time token of the URL that was given out",
        "type" => "Kind of object, such as domain",
        _ => "Its name",
    }
}

fn fields(form: &[Parameter]) -> Value {
    let properties: Map<String, Value> = form
        .iter()
        .map(|field| (field.name.to_owned(), json!({"type": "string", "description": field.about})))
        .collect();
    let required: Vec<&str> = form.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}
