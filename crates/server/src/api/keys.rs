//! Installation keys, API keys, ingestion keys, keys of users. Source: reference/rest-api.md section 7.3.

mod api;
mod ingestion;
mod installation;
mod user;

use super::{ApiError, Call, Route};

/// Longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Keys of a kind in one organization.
const KEYS_MAX: usize = 1_000;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let kinds = [installation::routes(), api::routes(), ingestion::routes(), user::routes()];
    kinds.into_iter().flatten().collect()
}

/// A name that the client gives to a key.
fn name<'a>(call: &'a Call, field: &str) -> Result<&'a str, ApiError> {
    let name = call.fields.get(field).map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_request(format!("{field} is required")))?;
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let most = NAME_BYTES_MAX;
        return Err(ApiError::bad_request(format!("{field} must be at most {most} bytes without control characters")));
    }
    Ok(name)
}
