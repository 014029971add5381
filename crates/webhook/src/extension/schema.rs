//! What an extension offers. Source: reference/extension-protocol.md section 6.
//!
//! One framework writes every key, with `null` where it has nothing; another leaves out what it does not set.
//! Both are read; what is not known here is kept.

use crate::lenient::null_is_default;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Answer to a schema request, in `data`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// How a console shows it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub views: Vec<View>,
    /// The configuration of an organization.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config_schema: ObjectSchema,
    /// Actions by name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub request_schema: BTreeMap<String, ActionSchema>,
    /// Names of events that it wants; others are not sent.
    #[serde(default, deserialize_with = "null_is_default")]
    pub required_events: Vec<String>,
}

/// A tab of a console.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its title.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// `auto`, `config`, `editor`, `action`, `description` or `key`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layout_type: String,
    /// Actions that it shows.
    #[serde(default, deserialize_with = "null_is_default")]
    pub default_requests: Vec<String>,
    /// What else was said.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionSchema {
    /// Whether a console shows it; says nothing about who may call it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_user_facing: bool,
    /// Whether it is what the extension is mainly for.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_default: bool,
    /// Whether it acts with the token of the caller; rules have none, and cannot call it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_impersonated: bool,
    /// Whether rules may call it although it is impersonated.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub allow_automation: bool,
    /// Title.
    #[serde(default, deserialize_with = "null_is_default")]
    pub label: String,
    /// One line.
    #[serde(default, deserialize_with = "null_is_default")]
    pub short_description: String,
    /// All of it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub long_description: String,
    /// Parameters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub parameters: ObjectSchema,
    /// What comes back, for consoles.
    #[serde(default)]
    pub response: Option<ObjectSchema>,
    /// What else was said.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Fields of an object, and which of them are needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectSchema {
    /// Fields by name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub fields: BTreeMap<String, Element>,
    /// Of each inner list at least one field must be there.
    #[serde(default, deserialize_with = "null_is_default")]
    pub requirements: Vec<Vec<String>>,
    /// What else was said, such as `key` of records and the name of one element.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Element {
    /// What values it takes; see [`DataType`]. Other words are kept, and make every value wrong.
    #[serde(default, deserialize_with = "null_is_default")]
    pub data_type: String,
    /// For people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Title.
    #[serde(default, deserialize_with = "null_is_default")]
    pub label: String,
    /// Whether it is a list of such values.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_list: bool,
    /// Place in a form, from 1; 0 puts it last.
    #[serde(default, deserialize_with = "null_is_default")]
    pub display_index: i64,
    /// What the server puts in if the caller says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<Value>,
    /// The values of an `enum`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub enum_values: Vec<Value>,
    /// Fields of an `object` or `record`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Box<ObjectSchema>>,
    /// What else was said, such as `placeholder`, `filter` and `complex_enum_values`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

macro_rules! data_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What values a field takes. Source: reference/extension-protocol.md section 6.5.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DataType {
            $($(#[$doc])* $name,)*
        }

        impl DataType {
            /// Reads a word; `None` for an unknown one.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The word of it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

data_types! {
    /// A text of one line.
    String = "string";
    /// A text of several lines.
    Text = "text";
    /// An integer.
    Integer = "integer";
    /// `true` or `false`.
    Bool = "bool";
    /// One of the listed values.
    Enum = "enum";
    /// One of the listed values, each with a label.
    ComplexEnum = "complex_enum";
    /// A text, or `hive://secret/NAME`, which the server replaces.
    Secret = "secret";
    /// A sensor id.
    Sid = "sid";
    /// An organization id.
    Oid = "oid";
    /// A platform.
    Platform = "platform";
    /// An architecture.
    Architecture = "architecture";
    /// A sensor selector.
    SensorSelector = "sensor_selector";
    /// The name of an event.
    EventName = "event_name";
    /// A tag.
    Tag = "tag";
    /// Milliseconds.
    Duration = "duration";
    /// Milliseconds since the Unix epoch.
    Time = "time";
    /// An address with a scheme.
    Url = "url";
    /// A domain name.
    Domain = "domain";
    /// A text in JSON.
    Json = "json";
    /// A text in YAML.
    Yaml = "yaml";
    /// Source code.
    Code = "code";
    /// A YARA rule.
    YaraRule = "yara_rule";
    /// The name of a YARA rule.
    YaraRuleName = "yara_rule_name";
    /// An object; what is in it is not checked.
    Object = "object";
    /// Objects by a key; what is in them is not checked.
    Record = "record";
}

impl Element {
    /// A field of a type.
    #[must_use]
    pub fn new(data_type: DataType, label: &str, description: &str) -> Self {
        let data_type = data_type.word().to_owned();
        Self { data_type, label: label.to_owned(), description: description.to_owned(), ..Self::default() }
    }

    /// The same, as a list.
    #[must_use]
    pub fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    /// The same; if the caller says nothing, the server puts this in.
    #[must_use]
    pub fn or(self, default_value: Value) -> Self {
        Self { default_value: Some(default_value), ..self }
    }

    /// One of these values.
    #[must_use]
    pub fn one_of(values: &[&str], label: &str, description: &str) -> Self {
        let enum_values = values.iter().map(|value| Value::from(*value)).collect();
        Self { enum_values, ..Self::new(DataType::Enum, label, description) }
    }
}

impl ObjectSchema {
    /// The same with one more field, shown after the others.
    #[must_use]
    pub fn field(mut self, name: &str, mut element: Element) -> Self {
        element.display_index = i64::try_from(self.fields.len() + 1).unwrap_or_default();
        self.fields.insert(name.to_owned(), element);
        self
    }

    /// The same; at least one of these fields must be there.
    #[must_use]
    pub fn needs(mut self, one_of: &[&str]) -> Self {
        self.requirements.push(one_of.iter().map(|name| (*name).to_owned()).collect());
        self
    }
}

impl ActionSchema {
    /// An action that consoles show.
    #[must_use]
    pub fn new(label: &str, description: &str, parameters: ObjectSchema) -> Self {
        let (label, description) = (label.to_owned(), description.to_owned());
        let long_description = description.clone();
        Self {
            is_user_facing: true,
            label,
            short_description: description,
            long_description,
            parameters,
            ..Self::default()
        }
    }

    /// The same, with the token of the caller.
    #[must_use]
    pub fn impersonated(self) -> Self {
        Self { is_impersonated: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn checklist_19_1_2_schemas_of_both_frameworks_are_read() {
        let python = json!({
            "views": [], "config_schema": {"fields": {}, "requirements": null, "key": null, "list_element_name": null},
            "request_schema": {"ping": {
                "is_user_facing": true, "is_default": null, "is_impersonated": false, "label": null, "short_description": "s",
                "long_description": null, "response": null,
                "parameters": {"requirements": [["a", "b"]], "key": null, "fields": {"a": {
                    "data_type": "string", "is_list": null, "display_index": 1, "default_value": null, "enum_values": null,
                    "object": null, "filter": null, "placeholder": null}}}}},
            "required_events": ["subscribe"],
        });
        let schema: Schema = serde_json::from_value(python).expect("a schema");
        let ping = &schema.request_schema["ping"];
        assert_eq!((ping.is_default, ping.parameters.requirements.len()), (false, 1));
        assert_eq!(ping.parameters.fields["a"].default_value, None, "null is no default");
        let other = json!({"config_schema": {"key": {}, "element_name": "e"}, "request_schema": {"ping": {
            "is_user_facing": true, "messages": {"in_progress": "p"}, "parameters": {"key": {}}}}});
        let schema: Schema = serde_json::from_value(other).expect("a schema");
        assert_eq!(schema.config_schema.rest["element_name"], json!("e"));
        assert_eq!(schema.request_schema["ping"].rest["messages"]["in_progress"], json!("p"), "kept");
    }

    #[test]
    fn checklist_19_2_7_a_schema_comes_back_as_it_went() {
        let parameters = ObjectSchema::default()
            .field("name", Element::new(DataType::String, "Name", "whom to greet").or(json!("you")))
            .field("how", Element::one_of(&["loud", "soft"], "How", "volume").list())
            .needs(&["name", "how"]);
        let greet = ActionSchema::new("Greet", "Say hello", parameters).impersonated();
        let request_schema = BTreeMap::from([("greet".to_owned(), greet)]);
        let schema = Schema { request_schema, required_events: vec!["subscribe".into()], ..Schema::default() };
        let written = json!(schema);
        for part in ["views", "config_schema", "request_schema", "required_events"] {
            assert!(written.get(part).is_some(), "{part}");
        }
        assert_eq!(written["request_schema"]["greet"]["parameters"]["fields"]["how"]["display_index"], json!(2));
        assert_eq!(serde_json::from_value::<Schema>(written).expect("a schema"), schema);
    }
}
