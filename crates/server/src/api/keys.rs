//! Installation keys, API keys, ingestion keys. Source: reference/rest-api.md section 7.3.

mod installation;

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    installation::routes()
}
