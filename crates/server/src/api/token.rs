//! Token exchange, and who the caller is. Source: reference/rest-api.md section 5.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
