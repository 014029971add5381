//! What a route answers when it did what it was asked for.

use muster_api_types::schema::SchemaOf;

/// What is in an answer.
#[derive(Clone, Copy)]
pub enum Content {
    /// Nobody said it yet: the description's test finds such a route.
    Unsaid,
    /// Nothing: the route answers with an error, whatever one asks for.
    Never,
    /// No content.
    Nothing,
    /// JSON of this type.
    Json(SchemaOf),
    /// A stream of lines, each JSON of this type.
    Lines(SchemaOf),
    /// Bytes of this media type.
    Bytes(&'static str),
}
