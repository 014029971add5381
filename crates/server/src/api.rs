//! The REST API: one table of routes, one way in, one shape of error.
//!
//! A [`Route`] names method, path, who may call it, and what it takes; the
//! router, the permission check, the OpenAPI document and the isolation test are
//! all read from that one table. A handler gets a [`Call`], which is already
//! authorized, and gives a [`Reply`].
//!
//! Wire conventions: reference/rest-api.md section 3.

mod call;
mod error;
mod form;
mod route;
mod router;

pub use call::{Call, Reply};
pub use error::ApiError;
pub use form::Form;
pub use route::{Access, Method, Route};
pub use router::{Router, serve};

/// Every route of the server.
#[must_use]
pub fn routes() -> Vec<Route> {
    Vec::new()
}
