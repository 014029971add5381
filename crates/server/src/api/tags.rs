//! Tags. Source: reference/rest-api.md section 7.2.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
