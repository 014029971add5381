//! Kept records: events, detections, audit. Source: reference/rest-api.md section 7.9.

use super::Route;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
