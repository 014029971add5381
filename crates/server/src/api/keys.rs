//! API keys, installation keys, ingestion keys. Source: reference/rest-api.md section 7.3.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
