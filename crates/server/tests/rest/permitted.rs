//! Routes that every member may call, and whose permission depends on what a call names: hives, rules by namespace,
//! replays by rule and stream. Beside `isolation`, which has those of one permission each.

use crate::world::World;
use muster_server::access::owner_permissions;
use muster_server::api::Access;
use muster_server::hive::{HIVES, Hive, RULE_HIVES, Verb};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Member routes that tell a member without any permission what every member may know.
const OF_ANY_MEMBER: &[&str] = &[
    "GET /extension/definition",
    "GET /extension/definition/{name}",
    "GET /extension/schema/{name}",
    "GET /hive/{hive}/schema",
    "GET /insight/{oid}",
    "GET /orgs/{oid}/subscriptions",
    "GET /service/{oid}",
];

/// A call of a route, and the permission that it takes.
struct Ask {
    route: &'static str,
    path: String,
    form: Vec<(&'static str, &'static str)>,
    needs: &'static str,
}

const RULE: &str = r#"{"detect":{"event":"TEST","op":"exists","path":"event"},"respond":[]}"#;

fn of_hive(hive: &'static Hive, oid: &str) -> Vec<Ask> {
    let ask = |route: &'static str, verb: Verb, form: &[(&'static str, &'static str)]| {
        let pattern = route.split_once(" /").unwrap().1;
        let path = pattern.replace("{hive}", hive.name).replace("{oid}", oid).replace("{key}", "r");
        Ask { route, path, form: form.to_vec(), needs: hive.permission(verb) }
    };
    let guid = ("guid", "00000000-0000-4000-8000-000000000001");
    let metadata_only = Ask {
        path: format!("hive/{}/{oid}?mtd_only=true", hive.name),
        ..ask("GET /hive/{hive}/{oid}", Verb::GetMetadata, &[])
    };
    vec![
        metadata_only,
        ask("GET /hive/{hive}/{oid}", Verb::Get, &[]),
        ask("GET /hive/{hive}/{oid}/{key}/data", Verb::Get, &[]),
        ask("GET /hive/{hive}/{oid}/{key}/mtd", Verb::GetMetadata, &[]),
        ask("POST /hive-public/{hive}/{oid}", Verb::Get, &[guid]),
        ask("POST /hive/{hive}/{oid}/{key}/data", Verb::Set, &[("data", RULE)]),
        ask("POST /hive/{hive}/{oid}/{key}/validate", Verb::Set, &[("data", RULE)]),
        ask("POST /hive/{hive}/{oid}/{key}/mtd", Verb::SetMetadata, &[("usr_mtd", "{}")]),
        ask("POST /hive/{hive}/{oid}/{key}/rename", Verb::Set, &[("new_name", "other")]),
        ask("DELETE /hive/{hive}/{oid}/{key}", Verb::Delete, &[]),
    ]
}

fn of_rules(hive: &'static Hive, oid: &str) -> Vec<Ask> {
    let namespace = ("namespace", hive.namespace().unwrap());
    let rule = [("name", "r"), ("detection", r#"{"op":"exists","path":"event"}"#), ("response", "[]"), namespace];
    let path = format!("rules/{oid}");
    let ask = |route, verb, form: &[(&'static str, &'static str)]| Ask {
        route,
        path: path.clone(),
        form: form.to_vec(),
        needs: hive.permission(verb),
    };
    let listed = Ask { path: format!("{path}?namespace={}", namespace.1), ..ask("GET /rules/{oid}", Verb::Get, &[]) };
    vec![
        listed,
        ask("POST /rules/{oid}", Verb::Set, &rule),
        ask("DELETE /rules/{oid}", Verb::Delete, &[("name", "r"), namespace]),
    ]
}

fn all_but(permission: &str) -> Vec<String> {
    owner_permissions().into_iter().filter(|name| name != permission).collect()
}

/// Goal: no call gets further without the permission that belongs to what it names, and none needs more. Method: each
/// with all permissions but that one, and with that one alone.
#[tokio::test]
async fn every_call_takes_the_permission_of_what_it_names() {
    let world = World::new().await;
    let oid = world.oid.to_string();
    let of_hives = HIVES.into_iter().flat_map(|hive| of_hive(hive, &oid));
    let asks: Vec<Ask> = of_hives.chain(RULE_HIVES.into_iter().flat_map(|hive| of_rules(hive, &oid))).collect();
    for Ask { route, path, form, needs } in &asks {
        let method = route.split(' ').next().unwrap();
        let poor = world.token_of(world.oid, &all_but(needs)).await;
        let (status, answer) = world.call_as(Some(&poor), method, path, form).await;
        assert_eq!(
            (status, &answer["error_code"]),
            (401, &json!("missing_permission")),
            "{route} {path} without {needs}"
        );
        assert!(answer["error"].to_string().contains(needs), "{route} {path}: {answer}");
        let with_it = world.token_of(world.oid, &[(*needs).to_owned()]).await;
        let (_, answer) = world.call_as(Some(&with_it), method, path, form).await;
        assert_ne!(answer["error_code"], "missing_permission", "{route} {path} with {needs}: {answer}");
    }
    let nothing = world.token_of(world.oid, &[]).await;
    for route in OF_ANY_MEMBER {
        let (method, path) = route.split_once(" /").unwrap();
        let path = path.replace("{oid}", &oid).replace("{hive}", "secret").replace("{name}", "ext-infrastructure");
        let (status, answer) = world.call_as(Some(&nothing), method, &format!("{path}?oid={oid}"), &[]).await;
        assert_eq!(status, 200, "{route}: {answer}");
    }
    // Each route that the router lets every member call is here, or below.
    let checked = asks
        .iter()
        .map(|ask| ask.route)
        .chain(OF_ANY_MEMBER.iter().copied())
        .chain(["POST /hive", "POST /replay/{oid}"]);
    let checked: BTreeSet<String> = checked.map(str::to_owned).collect();
    let routes = muster_server::api::routes();
    let of_members = routes.iter().filter(|route| route.access == Access::Member);
    let of_members: BTreeSet<String> =
        of_members.map(|route| format!("{} {}", route.method.name(), route.path)).collect();
    assert_eq!(checked, of_members);
}

/// Goal: of several operations in one call, each takes the permission of its own. Method: as above, for every operation.
#[tokio::test]
async fn every_operation_of_a_batch_takes_the_permission_of_what_it_names() {
    let world = World::new().await;
    for hive in HIVES {
        let id = json!({"hive": {"name": hive.name, "partition": world.oid}, "name": "r"});
        let record = json!({"data": serde_json::from_str::<Value>(RULE).unwrap()});
        for (operation, verb) in [
            ("get_record", Verb::Get),
            ("get_record_mtd", Verb::GetMetadata),
            ("set_record", Verb::Set),
            ("set_record_mtd", Verb::SetMetadata),
            ("delete_record", Verb::Delete),
        ] {
            let needs = hive.permission(verb);
            let request = json!({operation: {"record_id": id, "record": record, "usr_mtd": {}}}).to_string();
            let form = [("request", request.as_str())];
            let poor = world.token_of(world.oid, &all_but(needs)).await;
            let (status, answer) = world.call_as(Some(&poor), "POST", "hive", &form).await;
            let error = answer["responses"][0]["error"].as_str().unwrap_or_default();
            assert!(status == 200 && error.contains(needs), "{operation} {} without {needs}: {answer}", hive.name);
            assert!(answer["responses"][0]["data"].is_null(), "{answer}");
        }
    }
}

/// Goal: a replay takes the permission of its rule's namespace, and of the records that it reads. Method: as above.
#[tokio::test]
async fn a_replay_takes_the_permissions_of_its_rule_and_of_what_it_reads() {
    let world = World::new().await;
    let rule: Value = serde_json::from_str(RULE).unwrap();
    let supplied = json!({"events": [{"routing": {"event_type": "TEST"}, "event": {}}]});
    let kept = |stream: &str| json!({"stream": stream, "sensor_events": {"sid": "", "start_time": 1_700_000_000, "end_time": 1_700_000_001}});
    let of_namespaces =
        RULE_HIVES.into_iter().map(|hive| (hive.namespace().unwrap(), supplied.clone(), hive.permission(Verb::Get)));
    let of_streams = [("event", "insight.evt.get"), ("detect", "insight.det.get"), ("audit", "audit.get")];
    let of_streams = of_streams.into_iter().map(|(stream, needs)| ("general", kept(stream), needs));
    for (namespace, events, needs) in of_namespaces.chain(of_streams) {
        let rule = json!({"namespace": namespace, "rule": rule});
        let poor = world.token_of(world.oid, &all_but(needs)).await;
        let of_organization = format!("/v1/replay/{}", world.oid);
        for path in ["/", of_organization.as_str()] {
            let body = json!({"oid": world.oid, "rule_source": rule, "event_source": events});
            let answer = world.request("POST", path).bearer_auth(&poor).json(&body).send().await.unwrap();
            let (status, answer) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
            let refused = (status, &answer["error_code"]) == (401, &json!("missing_permission"));
            assert!(refused && answer["error"].to_string().contains(needs), "{path} {body} without {needs}: {answer}");
        }
    }
}
