//! The API description: it is complete, and the committed one is the one that the code makes.
//!
//! `MUSTER_BLESS=1 cargo test -p muster-server --test description` writes it anew.

use muster_server::api::{Content, Route, document, routes};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document = document(&routes());
    let made = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/openapi.json is not current; write it anew with MUSTER_BLESS=1");
}

#[test]
fn seven_5_no_answer_is_untyped() {
    let is_unsaid = |route: &&Route| matches!(route.content, Content::Unsaid);
    let unsaid: Vec<String> =
        routes().iter().filter(is_unsaid).map(|route| format!("{:?} {}", route.method, route.path)).collect();
    assert_eq!(unsaid, Vec::<String>::new(), "say what these answer: .answers::<Type>(\"room_verb\")");
}

#[test]
fn seven_5_every_operation_has_a_name_of_its_own() {
    let routes = routes();
    let ids: BTreeSet<&str> = routes.iter().map(|route| route.id).collect();
    assert_eq!(ids.len(), routes.len(), "two operations have the same name");
    let is_name = |id: &&str| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let others: Vec<&&str> = ids.iter().filter(|id| !is_name(id)).collect();
    assert_eq!(others, Vec::<&&str>::new(), "a name is the room and the verb, such as sensors_list");
}

/// Every schema says what it is of, and every reference leads to one.
#[test]
fn seven_5_every_parameter_has_a_kind_and_every_reference_a_schema() {
    let document = document(&routes());
    let (mut references, mut kinds) = (BTreeSet::new(), 0);
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            references.insert(target.trim_start_matches('#'));
        }
        for parameter in value.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            assert!(parameter["schema"]["type"].is_string(), "{parameter}");
            kinds += usize::from(parameter["schema"]["type"] != "string" || parameter["schema"].get("enum").is_some());
        }
        open.extend(value.as_array().into_iter().flatten());
        open.extend(value.as_object().into_iter().flat_map(|fields| fields.values()));
    }
    let dead: Vec<&&str> = references.iter().filter(|target| document.pointer(target).is_none()).collect();
    assert_eq!(dead, Vec::<&&str>::new());
    assert!(kinds > 40 && references.len() > 100, "{kinds} parameters that are no text, {} schemas", references.len());
}
