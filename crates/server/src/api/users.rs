//! Users and their permissions. Source: reference/rest-api.md section 7.4.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
