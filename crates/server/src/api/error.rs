//! Errors of the API and their HTTP statuses. Source: reference/rest-api.md section 4.

use super::Method;
use crate::access::Refused;
use crate::arrival::ArrivalError;
use muster_store::StoreError;

/// An error that a client sees: status, a stable code, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Stable word for programs (`docs/errors/<code>.md`).
    pub code: &'static str,
    /// For people; never holds a secret.
    pub message: String,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u32>,
    /// Calls that the credential may make in a minute, if that was exceeded.
    pub calls_per_minute: Option<u32>,
    /// What the path can be called with, if it was called otherwise.
    pub allowed: Vec<Method>,
}

impl ApiError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, retry_after_s: None, calls_per_minute: None, allowed: Vec::new() }
    }

    /// 400: the request is wrong; the message says how to mend it.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad_request", message)
    }

    /// 401: no token, or not a valid one.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "unauthorized", message)
    }

    /// 401 naming the permission, as the published API answers.
    #[must_use]
    pub fn missing_permission(permission: &str) -> Self {
        Self::new(401, "missing_permission", format!("missing permission: {permission}"))
    }

    /// 403: known, and not allowed.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "forbidden", message)
    }

    /// 404: not there, or not yours to see.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
    }

    /// 405: the path is there, and not for this method.
    #[must_use]
    pub fn method_not_allowed(method: &str, allowed: Vec<Method>) -> Self {
        let names: Vec<&str> = allowed.iter().map(|method| method.name()).collect();
        let message = format!("{method} is not possible with this path; possible: {}", names.join(", "));
        Self { allowed, ..Self::new(405, "method_not_allowed", message) }
    }

    /// 409: the request contradicts what is stored.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "conflict", message)
    }

    /// 413: larger than the bound, which the message names.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "too_large", message)
    }

    /// 415: a body in a form that is not read here; the message says what to send.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "unsupported_media_type", message)
    }

    /// 429: too many calls; try again after that many seconds.
    #[must_use]
    pub fn too_many(retry_after_s: u32, calls_per_minute: u32) -> Self {
        let message = "too many calls with this credential; wait and try again";
        Self {
            retry_after_s: Some(retry_after_s),
            calls_per_minute: Some(calls_per_minute),
            ..Self::new(429, "too_many_calls", message)
        }
    }

    /// 503: cannot be done now, nothing was changed.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(5), ..Self::new(503, "unavailable", message) }
    }

    /// 500: a fault of the server; the detail goes to the log alone.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "a request failed inside the server");
        Self::new(500, "internal", "the server failed to answer this request; its log says why")
    }

    /// The same error with another text.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same error with another code.
    #[must_use]
    pub fn with_code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::unavailable(
                "the disk of the server is full; nothing was changed. Free some space in its data directory and try again",
            )
            .with_code("store_full"),
            StoreError::Busy => {
                Self::unavailable("the server is busy writing; nothing was changed. Try again").with_code("store_busy")
            }
            StoreError::Conflict(what) => Self::conflict(format!("changed by someone else meanwhile: {what}")),
            StoreError::Cursor => Self::bad_request("cursor is not one that was given out"),
            other => Self::internal(other),
        }
    }
}

impl From<ArrivalError> for ApiError {
    fn from(error: ArrivalError) -> Self {
        let message = error.to_string();
        match error {
            ArrivalError::Slow => Self::new(408, "too_slow", message),
            ArrivalError::TooLong(_) => Self::too_large(message),
            ArrivalError::Busy => Self::unavailable(message),
            ArrivalError::Broken(_) => Self::bad_request(message),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::unauthorized(refused.to_string())
    }
}
