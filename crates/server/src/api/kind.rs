//! What the text of a parameter must be, for the API description.

use serde_json::{Value, json};

/// Kinds of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text; the handler knows its bounds.
    Text,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// `true` or `false`, also as `1` and `0`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A UUID.
    Id,
    /// UUIDs: the field is repeated, or they are joined by commas.
    Ids,
    /// An instant in Unix seconds.
    Seconds,
    /// Texts: the field is repeated, or they are joined by commas.
    List,
    /// Text that is JSON; in a JSON body it may stand as it is.
    Json,
    /// Base64 of gzip of JSON.
    Packed,
}

impl Kind {
    /// The kind as a JSON Schema.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Whole(least, i64::MAX) => json!({"type": "integer", "format": "int64", "minimum": least}),
            Self::Whole(least, most) => {
                json!({"type": "integer", "format": "int64", "minimum": least, "maximum": most})
            }
            Self::Flag => json!({"type": "boolean"}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
            Self::Id => json!({"type": "string", "format": "uuid"}),
            Self::Ids => json!({"type": "array", "items": {"type": "string", "format": "uuid"}}),
            Self::Seconds => json!({"type": "integer", "format": "int64"}),
            Self::List => json!({"type": "array", "items": {"type": "string"}}),
            Self::Json => json!({"type": "string", "contentMediaType": "application/json"}),
            Self::Packed => {
                json!({"type": "string", "contentEncoding": "base64", "contentMediaType": "application/gzip"})
            }
        }
    }
}
