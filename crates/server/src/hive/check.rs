//! Whether the content of a record is what its hive holds.

use super::lookup::Keys;
use super::table::Content;
use super::{Error, Hive, Hives, Lookups, Webhook};
use crate::intake::event::Actor;
use crate::jobs::aside;
use muster_model::Oid;
use muster_rules::{RuleLoader, RuleMeta};
use serde_json::{Value, json};
use std::sync::Arc;

fn invalid(text: impl Into<String>) -> Error {
    Error::Content(text.into())
}

/// Checks the content of a record, on a thread that stands back: rules run their own unit tests, however long they take. The
/// configuration of an extension is shown to that extension. Gives the content back.
///
/// # Errors
///
/// An error saying what is wrong.
pub async fn check(
    hives: &Hives,
    hive: &'static Hive,
    oid: Oid,
    key: &str,
    data: Value,
    actor: &Actor,
) -> Result<Value, Error> {
    if hive.concerns_rules {
        hives.services.fetch_named(oid, &data).await;
    }
    let lookups = if hive.concerns_rules { hives.in_force.lookups(oid) } else { Arc::default() };
    let (checker, name) = (Checker { lookups, anon_seed: hives.secrets.anon_seed(oid) }, key.to_owned());
    let checked = aside(move || checker.check(hive, &name, &data).map(|()| data)).await;
    let data = checked.map_err(|error| Error::Fault(error.to_string()))??;
    if hive.content == Content::Configuration {
        hives.services.check_config(oid, key, &data, &actor.identity).await?;
    }
    Ok(data)
}

/// Checks records against lookups that need not be stored yet.
pub struct Checker {
    /// The lookups that rules may refer to.
    pub lookups: Arc<Lookups>,
    /// The private seed of the template function `anon`.
    pub anon_seed: String,
}

impl Checker {
    /// Checks the content of a record.
    ///
    /// # Errors
    ///
    /// An error saying what is wrong.
    pub fn check(&self, hive: &Hive, key: &str, data: &Value) -> Result<(), Error> {
        if !data.is_object() {
            return Err(invalid("data must be an object"));
        }
        if data.to_string().len() > hive.bytes_max() {
            return Err(Error::TooLarge(hive.bytes_max()));
        }
        let loader = RuleLoader::new(&*self.lookups, &self.anon_seed);
        match hive.content {
            Content::Rule(namespace) => {
                let meta = RuleMeta { namespace: namespace.to_owned(), ..RuleMeta::general(key) };
                loader.rule_value(meta, data).map(|_| ()).map_err(Error::Rule)
            }
            Content::FalsePositive => loader.false_positive(key, data).map(|_| ()).map_err(Error::Rule),
            Content::Secret => match data.get("secret") {
                Some(Value::String(secret)) if !secret.is_empty() => Ok(()),
                _ => Err(invalid("data must be an object with the text secret")),
            },
            Content::Lookup => Keys::read(data).map(|_| ()).map_err(invalid),
            Content::Source => Webhook::read(key, data).map(|_| ()).map_err(invalid),
            Content::Configuration | Content::Object => Ok(()),
        }
    }
}

/// JSON Schema of the content of a hive.
#[must_use]
pub fn schema(hive: &Hive) -> Value {
    let any = json!({"type": "object"});
    match hive.content {
        Content::Rule(_) => json!({
            "type": "object", "required": ["detect"],
            "properties": {"detect": any, "respond": {"type": "array", "items": any}, "tests": any},
        }),
        Content::Secret => {
            json!({"type": "object", "required": ["secret"], "properties": {"secret": {"type": "string"}}})
        }
        Content::Lookup => json!({
            "type": "object",
            "properties": {
                "lookup_data": {"type": "object", "additionalProperties": any},
                "newline_content": {"type": "string"},
                "yaml_content": {"type": "string"},
            },
        }),
        Content::FalsePositive | Content::Configuration | Content::Source | Content::Object => any,
    }
}
