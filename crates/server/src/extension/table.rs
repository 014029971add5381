//! What the built-in extensions can be asked: one table of actions and their fields.
//!
//! Requests are checked by it, and clients are told it as the schema, so that neither can lag behind the other.
//! Source: reference/rest-api.md section 10.

use super::Error;
use crate::names;
use muster_api_types::schema::SchemaOf;
use serde_json::{Map, Value, json};

/// An extension.
pub(super) struct Extension {
    pub(super) name: &'static str,
    pub(super) actions: &'static [Action],
    pub(super) required_events: &'static [&'static str],
}

/// One action of an extension.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) is_user_facing: bool,
    /// Acts with the permissions of whoever calls.
    pub(super) is_impersonated: bool,
    /// What the same act needs by its direct route. An action without one checks by itself, part by part.
    pub(super) permission: Option<&'static str>,
    pub(super) fields: &'static [Field],
    /// What is in `data` of the answer.
    pub(super) answers: SchemaOf,
    /// One of each list must be there, says the schema.
    pub(super) requirements: &'static [&'static [&'static str]],
}

/// One field of an action.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Source: reference/rest-api.md section 10.2.
    pub(super) data_type: &'static str,
    pub(super) label: &'static str,
    pub(super) about: &'static str,
    /// Under which it is taken too: names of other documents, and of what is answered.
    pub(super) other_names: &'static [&'static str],
}

impl Field {
    pub(super) const fn new(
        name: &'static str,
        data_type: &'static str,
        label: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, data_type, label, about, other_names: &[] }
    }

    pub(super) const fn or(self, other_names: &'static [&'static str]) -> Self {
        Self { other_names, ..self }
    }

    fn schema(&self, display_index: usize) -> Value {
        json!({
            "data_type": self.data_type, "label": self.label, "description": self.about, "is_list": false,
            "display_index": display_index,
        })
    }
}

impl Extension {
    /// The action of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the names that there are.
    pub(super) fn action(&self, name: &str) -> Result<&'static Action, Error> {
        self.actions.iter().find(|action| action.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.actions.iter().map(|action| action.name).collect();
            Error::invalid(format!("unknown action: {name}; one of {}", known.join(", ")))
        })
    }

    pub(super) fn schema(&self) -> Value {
        let requests: Map<String, Value> =
            self.actions.iter().map(|action| (action.name.to_owned(), action.schema())).collect();
        json!({
            "config_schema": {"fields": {}, "requirements": []}, "request_schema": requests,
            "required_events": self.required_events, "views": [],
        })
    }
}

impl Action {
    /// The fields of a request under their first names, without those that are null.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a field that the action does not have, and for one that came under two of its names.
    pub(super) fn read(&self, data: &Value) -> Result<Map<String, Value>, Error> {
        let mut fields = Map::new();
        let given = data.as_object().into_iter().flatten();
        for (name, value) in given.filter(|(name, value)| !self.is_own_name(name, value)) {
            let is_it = |field: &&Field| field.name == name || field.other_names.contains(&name.as_str());
            let Some(field) = self.fields.iter().find(is_it) else {
                let known: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
                return Err(Error::invalid(names::unknown(name, &known)));
            };
            if !value.is_null() && fields.insert(field.name.to_owned(), value.clone()).is_some() {
                let names = [&[field.name], field.other_names].concat().join(" and ");
                return Err(Error::invalid(format!("{names} are one field: send only {}", field.name)));
            }
        }
        Ok(fields)
    }

    /// The older door names the action among the fields.
    fn is_own_name(&self, name: &str, value: &Value) -> bool {
        name == "action" && value.as_str() == Some(self.name)
    }

    fn schema(&self) -> Value {
        let fields: Map<String, Value> =
            self.fields.iter().zip(1..).map(|(field, at)| (field.name.to_owned(), field.schema(at))).collect();
        json!({
            "is_user_facing": self.is_user_facing, "is_impersonated": self.is_impersonated,
            "short_description": self.about, "long_description": self.about, "messages": {},
            "parameters": {"fields": fields, "requirements": self.requirements}, "response": {},
        })
    }
}
