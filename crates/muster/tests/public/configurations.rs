//! Configurations as other people write them (`conformance/configurations`): each is pushed, or refused for a reason that
//! its author can see.

use crate::world::World;
use crate::{number, read, text};
use serde_json::Value;
use std::path::Path;

/// Writes what is pushed; gives the path of its first file.
fn write(world: &World, at: usize, case: &Value) -> String {
    let folder = world.path(&format!("configuration-{at}"));
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    match case["files"].as_object() {
        Some(files) => files.iter().for_each(|(name, content)| put(name, content.as_str().unwrap())),
        None => put("org.yaml", text(case, "text")),
    }
    folder.join("org.yaml").to_string_lossy().into_owned()
}

/// What did not go as the case says.
fn differs(world: &World, file: &str, case: &Value) -> Option<String> {
    if let Some(refused) = case["refused"].as_str() {
        let pushed = world.push(file, &[]);
        if pushed.code != Some(4) || !pushed.stderr.contains(refused) {
            return Some(format!("not refused with {refused:?}: {pushed:?}"));
        }
        case["passed_over"].as_array()?;
    }
    let skip: &[&str] = if case["passed_over"].is_array() { &["--skip-unknown"] } else { &[] };
    let pushed = world.push(file, skip);
    let changes = format!("{} changes, ", number(case, "changes"));
    if pushed.code != Some(0) || !pushed.stdout.lines().any(|line| line.starts_with(&changes)) {
        return Some(format!("not {changes}: {pushed:?}"));
    }
    let passed_over = case["passed_over"].as_array().into_iter().flatten().map(|place| place.as_str().unwrap());
    let untold =
        passed_over.filter(|place| !pushed.stdout.contains(&format!("passed over {place}"))).collect::<Vec<_>>();
    let again = world.push(file, skip);
    match (untold.is_empty(), again.stdout.lines().any(|line| line.starts_with("0 changes, "))) {
        (true, true) => None,
        (false, _) => Some(format!("{untold:?} are not told: {}", pushed.stdout)),
        (true, false) => Some(format!("a second push is not the same: {again:?}")),
    }
}

#[test]
fn configurations_of_others_are_pushed_or_refused_for_a_reason_their_authors_accept() {
    let cases = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/configurations/cases.yaml"));
    let cases = cases.as_array().unwrap();
    let world = World::start();
    let mut wrong = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let file = write(&world, at, case);
        wrong.extend(differs(&world, &file, case).map(|what| format!("{}: {what}", text(case, "name"))));
    }
    println!("{} of {} configurations go as they should", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
