//! Named schemas of what is no type of this crate: ids, numbers with a meaning, and objects that are open by nature.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type; a reference, where it has a name.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! named {
    ($($(#[doc = $about:literal])+ $name:ident $schema:tt)+) => {$(
        $(#[doc = $about])+
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("description".into(), concat!($($about),+).trim().into());
                schema
            }
        }
    )+};
}

named! {
    /// An organization: the tenant that owns everything below it.
    Oid {"type": "string", "format": "uuid"}
    /// A sensor: one enrolled endpoint agent.
    Sid {"type": "string", "format": "uuid"}
    /// An installation key; survives the deletion of the key.
    Iid {"type": "string", "format": "uuid"}
    /// A reliable task: one request, for a whole set of sensors.
    TaskId {"type": "string", "format": "uuid"}
    /// A number as published: the operating system of an endpoint.
    Platform {"type": "integer", "minimum": 0}
    /// A number as published: the processor of an endpoint.
    Architecture {"type": "integer", "minimum": 0}
    /// Instant in seconds since 1970, by the server's clock.
    UnixSeconds {"type": "integer", "format": "int64"}
    /// Instant in milliseconds since 1970, by the server's clock.
    UnixMilliseconds {"type": "integer", "format": "int64"}
    /// An object whose fields are not the server's: they depend on what it is about.
    Open {"type": "object", "additionalProperties": true}
    /// Any JSON value.
    Anything {}
}
