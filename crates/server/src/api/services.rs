//! Services, the older door to extensions. Source: reference/rest-api.md sections 7.8 and 10.4.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
