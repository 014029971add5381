//! The REST API: one table of routes, one way in, one shape of error.
//!
//! A [`Route`] names method, path, who may call it, and what it takes; the
//! router, the permission check, the OpenAPI document and the isolation test are
//! all read from that one table. A handler gets a [`Call`], which is already
//! authorized, and gives a [`Reply`].
//!
//! Wire conventions: reference/rest-api.md section 3.

mod artifacts;
mod call;
mod console;
mod content;
mod credential;
mod description;
mod error;
mod extensions;
mod fields;
mod form;
pub(crate) mod health;
mod hive;
mod hooks;
mod insight;
mod jobs;
mod keys;
mod kind;
mod live;
mod live_response;
mod organizations;
mod outputs;
mod payloads;
mod replay;
mod route;
mod router;
mod sensors;
mod services;
mod tags;
mod token;
mod transfers;
mod users;

pub use call::{Body, Call, Reply};
pub use content::Content;
pub use description::document;
pub use error::{ApiError, refusal};
pub use form::{Form, FormError};
pub use kind::Kind;
pub use muster_api_types::ErrorCode;
pub use organizations::event_types;
pub use route::{Access, Method, Route};
pub use router::serve;

/// Every route of the server.
#[must_use]
pub fn routes() -> Vec<Route> {
    let areas = [
        ("Tokens", token::routes()),
        ("Health", health::routes()),
        ("Organization", organizations::routes()),
        ("Keys", keys::routes()),
        ("Users", users::routes()),
        ("Console", console::routes()),
        ("Sensors", sensors::routes()),
        ("Tags", tags::routes()),
        ("Extensions and reliable tasking", extensions::routes()),
        ("Webhooks", hooks::routes()),
        ("Services", services::routes()),
        ("Jobs", jobs::routes()),
        ("Rules and hives", hive::routes()),
        ("Replays", replay::routes()),
        ("Outputs", outputs::routes()),
        ("Events, detections and audit", insight::routes()),
        ("Artifacts", artifacts::routes()),
        ("Payloads", payloads::routes()),
        ("Transfers", transfers::routes()),
        ("Live streams", live::routes()),
        ("Live Response", live_response::routes()),
        ("This description", description::routes()),
    ];
    let named =
        |(area, routes): (&'static str, Vec<Route>)| routes.into_iter().map(move |route| Route { area, ..route });
    areas.into_iter().flat_map(named).collect()
}
