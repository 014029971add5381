//! Every route, as nobody, as a key without the permission, and as another organization.

use crate::world::World;
use muster_model::Oid;
use muster_server::access::owner_permissions;
use muster_server::api::Access;
use muster_server::random;
use serde_json::Value;

/// Routes that name no organization, so that they cannot be checked here. This list may only shrink:
/// a new route either belongs to an organization, or its own test shows what it keeps back.
const UNCHECKED: &[&str] = &[
    "DELETE //console/api/sessions/{id}",
    "GET //console/api/session",
    "GET //console/api/sessions",
    "GET /orgs/new",
    "GET /user/orgs",
    "GET /who",
    "POST //console/api/password",
    "POST //console/api/sign-out",
    "POST /orgs/new",
];

/// Routes that anyone may call; the handler checks whatever the client sends instead of a token: an API key,
/// an ingestion key, a one-time address of a file. Each has a test of its own.
const PUBLIC: &[&str] = &[
    "GET //docs",
    "GET //healthz",
    "GET //live-file/{token}",
    "GET //openapi.json",
    "GET //readyz",
    "GET //transfer/{token}",
    "GET /orgs/{oid}/url",
    "POST //",
    "POST //console/api/link",
    "POST //console/api/link/use",
    "POST //console/api/sign-in",
    "POST //ingest",
    "POST //jwt",
    "POST //live-file/{token}",
    "POST //{oid}",
    "POST //{oid}/{hook}/{secret}",
    "PUT //live-file/{token}",
    "PUT //transfer/{token}",
];

/// Live Response has a form of errors of its own; which of its fields say nothing but that.
const OF_LIVE_RESPONSE_ERRORS: &[&str] = &["reason", "success", "status", "message"];

/// How a route refuses a caller without a permission.
fn without_permission(path: &str) -> (u16, Value) {
    match path {
        path if path.starts_with("/appservices/") => (403, "FORBIDDEN".into()),
        path if path.starts_with("/integrationServices/") => (401, "UNAUTHORIZED".into()),
        _ => (401, "missing_permission".into()),
    }
}

struct Case {
    label: String,
    method: &'static str,
    /// Path with the ids of the first organization.
    path: String,
    access: Access,
    names_sensor_only: bool,
}

fn cases(world: &World, sid: &str, iid: &str) -> Vec<Case> {
    let oid = world.oid.to_string();
    let fill = |part: &str| match part {
        "{oid}" => oid.clone(),
        "{sid}" => sid.to_owned(),
        "{iid}" => iid.to_owned(),
        "{tag}" => "vip".to_owned(),
        other => other.replace(['{', '}'], ""),
    };
    let routes = muster_server::api::routes();
    let routes = routes.iter();
    let case = |route: &muster_server::api::Route| {
        let filled: Vec<String> = route.path.split('/').map(fill).collect();
        let path = filled.join("/");
        Case {
            label: format!("{} {}", route.method.name(), route.path),
            method: route.method.name(),
            path: if let Some(outside) = path.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
                outside.to_owned()
            } else {
                path.trim_start_matches('/').to_owned()
            },
            access: route.access,
            names_sensor_only: route.path.contains("{sid}") && !route.path.contains("{oid}"),
        }
    };
    routes.map(case).collect()
}

/// Calls a route; a path without an organization gets this one as a query parameter.
async fn call(world: &World, token: Option<&str>, case: &Case, oid: Option<&str>) -> (u16, Value) {
    let query = oid.map(|oid| format!("?oid={oid}")).unwrap_or_default();
    world.call_as(token, case.method, &format!("{}{query}", case.path), &[]).await
}

#[tokio::test]
async fn every_route_keeps_organizations_apart() {
    let world = World::new().await;
    let sid = world.sensor("secret-host", &["vip"]).await.to_string();
    let made = world.ok("POST", &format!("installationkeys/{}", world.oid), &[("desc", "secret-key")]).await;
    let iid = made["iid"].as_str().unwrap();
    let oid = world.oid.to_string();
    let other = Oid(random::uuid());
    world.organization(other).await;
    let stranger = world.token_of(other, &owner_permissions()).await;

    let (mut unchecked, mut public) = (Vec::new(), Vec::new());
    for case in cases(&world, &sid, iid) {
        let Case { label, access, .. } = &case;
        let home = (!case.names_sensor_only).then_some(oid.as_str());
        if *access == Access::Public {
            public.push(label.clone());
            continue;
        }
        let (status, answer) = call(&world, None, &case, home).await;
        let code = answer["error_code"].as_str().map(str::to_lowercase);
        assert_eq!((status, code.as_deref()), (401, Some("unauthorized")), "{label} as nobody");
        let (status, _) = call(&world, Some("no.such.token"), &case, home).await;
        assert_eq!(status, 401, "{label} with a made-up token");
        if *access == Access::Token {
            unchecked.push(label.clone());
            continue;
        }
        if let Access::May(permission) = access {
            let all_but_one: Vec<String> = owner_permissions().into_iter().filter(|name| name != permission).collect();
            assert!(all_but_one.len() < owner_permissions().len(), "{label}: {permission} is no permission");
            let poor = world.token_of(world.oid, &all_but_one).await;
            let (status, answer) = call(&world, Some(&poor), &case, home).await;
            let wanted = without_permission(&case.path);
            assert_eq!((status, answer["error_code"].clone()), wanted, "{label} without {permission}");
        }
        // Naming an organization of one's own beside somebody else's sensor must not help either.
        let named_by_stranger =
            if case.names_sensor_only { vec![None, Some(other.to_string())] } else { vec![Some(oid.clone())] };
        for named in named_by_stranger {
            let (status, answer) = call(&world, Some(&stranger), &case, named.as_deref()).await;
            assert_eq!(status, 404, "{label} as another organization: {answer}");
            let is_of_error =
                |name: &String| name.starts_with("error") || OF_LIVE_RESPONSE_ERRORS.contains(&name.as_str());
            let has_data = answer.as_object().is_none_or(|fields| !fields.keys().all(is_of_error));
            assert!(!has_data, "{label} tells another organization: {answer}");
        }
        if case.method == "GET" {
            let (_, answer) = call(&world, Some(&world.token), &case, home).await;
            assert_ne!(answer["error"], "organization not found", "{label}: the test names no real organization");
            assert_ne!(answer["error"], "sensor not found", "{label}: the test names no real sensor");
        }
    }
    unchecked.sort();
    public.sort();
    assert_eq!(unchecked, UNCHECKED);
    assert_eq!(public, PUBLIC);
    // Nothing of all that changed the sensor or the key.
    assert_eq!(world.ok("GET", &sid, &[]).await["info"]["tags"], serde_json::json!(["vip"]));
}
