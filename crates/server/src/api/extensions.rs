//! Extensions: subscription, schema, requests. Source: reference/rest-api.md sections 7.7 and 10.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
