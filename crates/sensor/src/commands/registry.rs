//! Commands on the registry. Source: reference/commands.md section 6.11.

use serde_json::{Value as Json, json};

use super::{Failure, Fields, Job, List, Outcome, code, fields};
use crate::platform::registry::Key;
use crate::registry::{Place, Value};

/// Longest value that is in a reply.
const VALUE_BYTES_MAX: usize = 64 * 1024;

fn place(job: &Job) -> Result<Place, Failure> {
    let path = job.arguments.text("reg").unwrap_or_default();
    Place::parse(path).ok_or_else(|| Failure::new(code::INVALID_PARAMETER, format!("{path} begins at no root")))
}

pub(super) fn list(job: &Job) -> Outcome {
    let root = place(job)?;
    let depth = job.arguments.number("depth").unwrap_or(0);
    let key = Key::open(&root)?;
    let values: Vec<Json> = key.values()?.iter().map(|value| Json::Object(described(value))).collect();
    let mut names = List::default();
    // With a depth, names alone would not say where they are.
    let name_of = |place: &Place, name: &str| if depth > 0 { place.path_of(name) } else { name.to_owned() };
    let mut ahead = vec![(root.clone(), 0)];
    let mut is_whole = true;
    while let Some((place, level)) = ahead.pop() {
        // A key that may not be read, or just went, is left out.
        for name in Key::open(&place).and_then(|key| key.names()).unwrap_or_default() {
            is_whole = names.push(name_of(&place, &name).into()) && !job.is_over();
            if !is_whole {
                ahead.clear();
                break;
            }
            if level < depth {
                let below = [place.below.as_str(), name.as_str()].map(str::to_owned);
                let below = below.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\\");
                ahead.push((Place { below, ..place.clone() }, level + 1));
            }
        }
    }
    let mut reply = fields(json!({
        "ROOT": root.path_of(""),
        "REGISTRY_KEY": names.values,
        "REGISTRY_VALUE": values,
    }));
    if !is_whole {
        reply.insert("ERROR_MESSAGE".to_owned(), "truncated: use less --depth".into());
    }
    Ok(reply)
}

pub(super) fn get(job: &Job) -> Outcome {
    let place = place(job)?;
    let value = Key::open(&place)?.value(job.arguments.text("name").unwrap_or_default())?;
    let mut reply = fields(json!({"ROOT": place.path_of("")}));
    reply.extend(described(&value));
    Ok(reply)
}

fn described(value: &Value) -> Fields {
    let mut found = fields(json!({"NAME": value.name, "TYPE": value.kind}));
    if value.bytes.len() <= VALUE_BYTES_MAX {
        found.insert("VALUE".to_owned(), value.to_json());
    } else {
        found.insert("SIZE".to_owned(), value.bytes.len().into());
    }
    found
}
