//! The six commands on the registry. Source: reference/live-response.md sections 5.6 to 5.11.

use std::io;

use muster_live::{Code, Found, Order, RegistryValue};

use super::{FOUND_BYTES_MAX, Failure, Outcome};
use crate::platform::registry::Key;
use crate::registry::{Place, Value};

/// Bytes that a value or a name takes beside its content, about.
const ENTRY_BYTES: usize = 64;

/// Carries out what is about the registry.
pub(super) fn perform(order: &Order) -> Outcome {
    match order {
        Order::RegEnumKey { path } => enumerate(path),
        Order::RegQueryValue { path } => query(path),
        Order::RegCreateKey { path } => create(path),
        Order::RegDeleteKey { path } => delete(path),
        Order::RegDeleteValue { path } => delete_value(path),
        Order::RegSetValue { path, kind, data, overwrite } => set(path, kind, data, *overwrite),
        other => Err(Failure::unsupported(other.name())),
    }
}

fn enumerate(path: &str) -> Outcome {
    let key = Key::open(&place(path)?).map_err(at(path))?;
    let (names, values) = (key.names().map_err(at(path))?, key.values().map_err(at(path))?);
    let bytes: usize = names.iter().map(|name| name.len() + ENTRY_BYTES).sum();
    // Binary content doubles when it is written out.
    let bytes: usize = bytes + values.iter().map(|value| 2 * value.bytes.len() + ENTRY_BYTES).sum::<usize>();
    if bytes > FOUND_BYTES_MAX {
        let text = format!("{path} holds more than fits into an answer; ask for single values");
        return Err(Failure::new(Code::NO_SYSTEM_RESOURCES, text));
    }
    Ok(Found { sub_keys: names, values: values.iter().map(found).collect(), ..Found::default() })
}

fn query(path: &str) -> Outcome {
    let (place, name) = value_place(path)?;
    let value = Key::open(&place).and_then(|key| key.value(name)).map_err(at(path))?;
    Ok(Found { values: vec![found(&value)], ..Found::default() })
}

fn create(path: &str) -> Outcome {
    Key::create(&place(path)?).map_err(at(path))?;
    Ok(Found::default())
}

/// Removes a key; one with keys below stays.
fn delete(path: &str) -> Outcome {
    let place = place(path)?;
    if place.below.is_empty() {
        return Err(Failure::new(Code::ACCESS_DENIED, format!("{path} is a root")));
    }
    if !Key::open(&place).and_then(|key| key.names()).map_err(at(path))?.is_empty() {
        return Err(Failure::new(Code::ACCESS_DENIED, format!("{path} has keys below it; remove those before")));
    }
    Key::remove(&place).map_err(at(path))?;
    Ok(Found::default())
}

fn delete_value(path: &str) -> Outcome {
    let (place, name) = value_place(path)?;
    Key::open_to_change(&place).and_then(|key| key.remove_value(name)).map_err(at(path))?;
    Ok(Found::default())
}

fn set(path: &str, kind: &str, data: &serde_json::Value, overwrite: bool) -> Outcome {
    let (place, name) = value_place(path)?;
    let value = Value::from_json(name, kind, data);
    let value = value.ok_or_else(|| Failure::new(Code::INVALID_DATATYPE, format!("{data} is no {kind}")))?;
    let key = Key::open_to_change(&place).map_err(at(path))?;
    if !overwrite && Key::open(&place).and_then(|key| key.value(name)).is_ok() {
        return Err(Failure::new(Code::ALREADY_EXISTS, format!("{path} is there already")));
    }
    key.set(&value).map_err(at(path))?;
    Ok(Found::default())
}

fn place(path: &str) -> Result<Place, Failure> {
    Place::parse(path).ok_or_else(|| bad_root(path))
}

fn value_place(path: &str) -> Result<(Place, &str), Failure> {
    Place::parse_value(path).ok_or_else(|| bad_root(path))
}

fn bad_root(path: &str) -> Failure {
    Failure::new(Code::BADKEY, format!("{path} begins at no root of the registry, such as HKLM"))
}

fn at(path: &str) -> impl Fn(io::Error) -> Failure {
    move |error| {
        let failure = Failure::from(error);
        Failure { text: format!("{path}: {}", failure.text), ..failure }
    }
}

fn found(value: &Value) -> RegistryValue {
    RegistryValue { name: value.name.clone(), kind: value.kind_name(), data: value.to_json() }
}
