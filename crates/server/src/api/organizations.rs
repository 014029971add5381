//! Organizations: information, addresses, settings, errors. Source: reference/rest-api.md section 7.1.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
