//! Errors of the API: which code each error of the rooms below has. The code has the HTTP status.
//!
//! Source: reference/rest-api.md section 4.

use super::Method;
use crate::access::Refused;
use crate::arrival::ArrivalError;
use muster_api_types::ErrorCode;
use muster_store::StoreError;

/// Seconds after which a client may try again what cannot be done now.
const RETRY_AFTER_S: u32 = 5;

/// An error that a client sees: a stable code, which has its HTTP status, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Stable word for programs (`docs/errors/<code>.md`).
    pub code: ErrorCode,
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
    /// An error of this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry_after_s = matches!(code.status(), 503 | 507).then_some(RETRY_AFTER_S);
        Self { code, message: message.into(), retry_after_s, calls_per_minute: None, allowed: Vec::new() }
    }

    /// The request is wrong; the message says how to mend it.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// No token, or not a valid one.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unauthorized, message)
    }

    /// The caller lacks a permission, which the answer names as the published API does.
    #[must_use]
    pub fn missing_permission(permission: &str) -> Self {
        Self::new(ErrorCode::MissingPermission, format!("missing permission: {permission}"))
    }

    /// Known, and not allowed.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    /// Not there, or not yours to see.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// The path is there, and not for this method.
    #[must_use]
    pub fn method_not_allowed(method: &str, allowed: Vec<Method>) -> Self {
        let names: Vec<&str> = allowed.iter().map(|method| method.name()).collect();
        let message = format!("{method} is not possible with this path; possible: {}", names.join(", "));
        Self { allowed, ..Self::new(ErrorCode::MethodNotAllowed, message) }
    }

    /// The request contradicts what is stored.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// Larger than the bound, which the message names.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TooLarge, message)
    }

    /// A body in a form that is not read here; the message says what to send.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::UnsupportedMediaType, message)
    }

    /// Too many calls; try again after that many seconds.
    #[must_use]
    pub fn too_many(retry_after_s: u32, calls_per_minute: u32) -> Self {
        let message = "too many calls with this credential; wait and try again";
        Self {
            retry_after_s: Some(retry_after_s),
            calls_per_minute: Some(calls_per_minute),
            ..Self::new(ErrorCode::TooManyCalls, message)
        }
    }

    /// Cannot be done now, nothing was changed.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// A fault of the server; the detail goes to the log alone.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "a request failed inside the server");
        Self::new(ErrorCode::Internal, "the server failed to answer this request; its log says why")
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(
                ErrorCode::StoreFull,
                "the disk of the server is full; nothing was changed. Free some space in its data directory and try again",
            ),
            StoreError::Busy => {
                Self::new(ErrorCode::StoreBusy, "the server is busy writing; nothing was changed. Try again")
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
            ArrivalError::Slow => Self::new(ErrorCode::TooSlow, message),
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
