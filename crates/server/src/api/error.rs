//! Errors of the API: which code each error of the rooms below has. The code has the HTTP status.
//!
//! Source: reference/rest-api.md section 4.

use super::Method;
use crate::arrival::ArrivalError;
use crate::meter::TooManyCalls;
use crate::names::WrongTags;
use crate::turns::NoTurn;
use crate::{
    access, artifact, console, extension, files, hive, live, output, payload, service, settings, tasking, transfer,
};
use muster_api_types::ErrorCode;
use muster_store::StoreError;

/// Seconds after which a client may try again what cannot be done now.
const RETRY_AFTER_S: u32 = 5;

/// What is said where the disk cannot be used: it may come back.
const NO_DISK: &str = "the server cannot use its disk now, or is stopping; nothing was changed. Try again";

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
            StoreError::Unavailable(why) => {
                tracing::warn!(why, "the store is not available");
                Self::unavailable(NO_DISK)
            }
            StoreError::Conflict(what) => Self::conflict(format!("changed by someone else meanwhile: {what}")),
            StoreError::Deposed(_) => Self::unavailable(
                "another server has taken this organization over; nothing was changed. Call again, and that one answers",
            ),
            StoreError::Unknown(_) => Self::new(
                ErrorCode::OutcomeUnknown,
                "the storage broke down amid the change: it was made as a whole, or not at all. Look what is there, or \
                 repeat the call with the same task id or x-idempotent-key",
            ),
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

impl From<access::Error> for ApiError {
    fn from(error: access::Error) -> Self {
        use access::Error::{
            Invalid, KeyDeleted, LastKeeper, Locked, Loosened, MissingPermission, NotGrantable, Refused, Tags,
            UnknownPermission, Unseen,
        };
        let code = match error {
            Refused(_) | KeyDeleted => ErrorCode::Unauthorized,
            MissingPermission(_) => ErrorCode::MissingPermission,
            NotGrantable(_) | Unseen(_) | Locked(..) | Loosened => ErrorCode::Forbidden,
            LastKeeper => ErrorCode::Conflict,
            UnknownPermission(_) | Tags(_) | Invalid(_) => ErrorCode::BadRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl From<access::Refused> for ApiError {
    fn from(refused: access::Refused) -> Self {
        access::Error::from(refused).into()
    }
}

impl From<WrongTags> for ApiError {
    fn from(error: WrongTags) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<TooManyCalls> for ApiError {
    fn from(error: TooManyCalls) -> Self {
        Self {
            retry_after_s: Some(error.retry_after_s),
            calls_per_minute: Some(error.per_minute),
            ..Self::new(ErrorCode::TooManyCalls, error.to_string())
        }
    }
}

impl From<settings::Error> for ApiError {
    fn from(error: settings::Error) -> Self {
        let code = match error {
            settings::Error::TooLong => ErrorCode::TooLarge,
            settings::Error::Name | settings::Error::Resource | settings::Error::Full => ErrorCode::BadRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl From<console::Error> for ApiError {
    fn from(error: console::Error) -> Self {
        use console::Error::{
            Access, Fault, ForeignHost, ForeignPage, LinkSpent, NameTaken, NoHeader, NoSession, NoUser, NotWebSocket,
            OrganizationGone, SignedOut, Store, StrongerUser, TooManySockets, TooManyTries, WeakPassword, WrongLogin,
            WrongPassword,
        };
        let text = error.to_string();
        let code = match error {
            Access(error) => return error.into(),
            Store(error) => return error.into(),
            Fault(detail) => return Self::internal(detail),
            TooManyTries(seconds) => {
                return Self { retry_after_s: Some(seconds), ..Self::new(ErrorCode::TooManyTries, text) };
            }
            SignedOut => ErrorCode::SignedOut,
            WrongLogin | WrongPassword => ErrorCode::WrongPassword,
            WeakPassword | NotWebSocket => ErrorCode::BadRequest,
            ForeignHost(_) | ForeignPage(_) | NoHeader | StrongerUser => ErrorCode::Forbidden,
            NoSession | NoUser | LinkSpent | OrganizationGone => ErrorCode::NotFound,
            NameTaken => ErrorCode::Conflict,
            TooManySockets => ErrorCode::Unavailable,
        };
        Self::new(code, text)
    }
}

impl From<files::Error> for ApiError {
    fn from(error: files::Error) -> Self {
        let text = error.to_string();
        match error {
            files::Error::Arrival(error) => error.into(),
            files::Error::TooLarge(_) => Self::too_large(text),
            files::Error::DiskFull => Self::new(ErrorCode::DiskFull, text),
            files::Error::Gone => Self::not_found(text),
            files::Error::Disk(error) => {
                tracing::warn!(%error, "a file could not be read or written");
                Self::unavailable(NO_DISK)
            }
        }
    }
}

impl From<payload::Error> for ApiError {
    fn from(error: payload::Error) -> Self {
        let text = error.to_string();
        match error {
            payload::Error::Missing(_) | payload::Error::Name => Self::bad_request(text),
            payload::Error::TooMany => Self::conflict(text),
            payload::Error::Access(error) => error.into(),
            payload::Error::File(error) => error.into(),
            payload::Error::Store(error) => error.into(),
        }
    }
}

impl From<artifact::Error> for ApiError {
    fn from(error: artifact::Error) -> Self {
        use artifact::Error::{
            File, Id, Known, Part, PartOutOfTurn, RuleField, RuleName, Store, Taken, TooMany, TooManyParts,
            TooManyRules,
        };
        let text = error.to_string();
        let code = match error {
            File(error) => return error.into(),
            Store(error) => return error.into(),
            Id | Taken(_) | Part | RuleName | RuleField(_) => ErrorCode::BadRequest,
            Known(_) | PartOutOfTurn { .. } | TooManyRules => ErrorCode::Conflict,
            TooMany => ErrorCode::TooManyArtifacts,
            TooManyParts => ErrorCode::Unavailable,
        };
        Self::new(code, text)
    }
}

impl From<transfer::Error> for ApiError {
    fn from(error: transfer::Error) -> Self {
        use transfer::Error::{
            Artifact, File, IsUpload, NoPayload, NoSensor, NoTask, NothingNamed, TooManyWaiting, Unknown,
        };
        let text = error.to_string();
        match error {
            TooManyWaiting => Self::unavailable(text),
            Unknown | IsUpload | NoSensor | NoPayload => Self::not_found(text),
            NothingNamed => Self::bad_request(text),
            NoTask => Self::new(ErrorCode::Forbidden, text),
            Artifact(error) => error.into(),
            File(error) => error.into(),
        }
    }
}

/// How a sensor is refused a transfer: with the status and the text that HTTP would have.
#[must_use]
pub fn refusal(error: transfer::Error) -> (u16, String) {
    let error = ApiError::from(error);
    (error.code.status(), error.message)
}

impl From<output::Error> for ApiError {
    fn from(error: output::Error) -> Self {
        use output::Error::{
            Access, Name, PrivateDestination, Setting, Store, TooLarge, TooMany, Unavailable, UnknownSetting,
        };
        let text = error.to_string();
        match error {
            Name | Setting(_) | Unavailable(_) | UnknownSetting(_) | TooLarge | PrivateDestination(_) => {
                Self::bad_request(text)
            }
            TooMany => Self::conflict(text),
            Access(error) => error.into(),
            Store(error) => error.into(),
        }
    }
}

impl From<hive::Error> for ApiError {
    fn from(error: hive::Error) -> Self {
        use hive::Error::{
            Access, Content, Cursor, EtagMismatch, Extension, Fault, Full, InvalidExpiry, Key, KeyTaken,
            ListingTooLarge, Metadata, NotFound, NotInForce, Rule, Store, TooLarge,
        };
        let text = error.to_string();
        let code = match error {
            Store(error) => return error.into(),
            Extension(service::Error::Invalid(_)) => ErrorCode::InvalidRecord,
            Extension(error) => return error.into(),
            Access(error) => return error.into(),
            Fault(detail) => return Self::internal(detail),
            NotInForce => ErrorCode::NotInForce,
            NotFound(_) => ErrorCode::RecordNotFound,
            EtagMismatch => ErrorCode::EtagMismatch,
            InvalidExpiry(_) => ErrorCode::InvalidExpiryTime,
            ListingTooLarge => ErrorCode::HiveListingTooLarge,
            Cursor => ErrorCode::InvalidCursor,
            Key | Metadata(_) => ErrorCode::BadRequest,
            KeyTaken(_) | Full => ErrorCode::Conflict,
            Rule(_) => ErrorCode::InvalidRule,
            Content(_) => ErrorCode::InvalidRecord,
            TooLarge(_) => ErrorCode::TooLarge,
        };
        Self::new(code, text)
    }
}

impl From<tasking::Error> for ApiError {
    fn from(error: tasking::Error) -> Self {
        use tasking::Error::{
            Command, ContextTooLong, IdTaken, Late, NoCommand, NoSensor, NoTask, Offline, Payload, SensorFull, Spec,
            Store, TooManyCommands,
        };
        let text = error.to_string();
        match error {
            Store(error) => error.into(),
            Payload(error) => error.into(),
            NoTask | NoSensor => Self::not_found(text),
            IdTaken => Self::conflict(text),
            SensorFull => Self::new(ErrorCode::SensorFull, text),
            Command(_) | Spec(_) | Offline | Late | NoCommand | TooManyCommands | ContextTooLong => {
                Self::bad_request(text)
            }
        }
    }
}

impl From<extension::Error> for ApiError {
    fn from(error: extension::Error) -> Self {
        use extension::Error::{
            Access, Fault, Hive, Invalid, NeedsCaller, NoExtension, NoTag, NoTask, NotSubscribed, OfOthers, Selector,
            Store, Tasking, TooLarge, UnknownField,
        };
        let text = error.to_string();
        let code = match error {
            Access(error) => return error.into(),
            Hive(error) => return error.into(),
            Tasking(error) => return error.into(),
            OfOthers(error) => return error.into(),
            Store(error) => return error.into(),
            Fault(detail) => return Self::internal(detail),
            NoExtension(_) | NoTask(_) | NoTag { .. } => ErrorCode::NotFound,
            NeedsCaller(_) => ErrorCode::Forbidden,
            NotSubscribed(_) => ErrorCode::NotSubscribed,
            Invalid(_) | UnknownField(_) => ErrorCode::BadRequest,
            Selector(_) => ErrorCode::InvalidSelector,
            TooLarge => ErrorCode::TooLarge,
        };
        Self::new(code, text)
    }
}

impl From<NoTurn> for ApiError {
    fn from(error: NoTurn) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<live::Error> for ApiError {
    fn from(error: live::Error) -> Self {
        use live::Error;
        use muster_live::Refusal;
        let text = error.to_string();
        let code = match error {
            Error::NoDevice | Error::NoSession | Error::NoCommand | Error::NoFile => ErrorCode::NotFound,
            Error::Refused(Refusal::Over | Refusal::NoCommand) => ErrorCode::NotFound,
            Error::Refused(Refusal::NotEstablished | Refusal::NotPending) => ErrorCode::Conflict,
            Error::NotWhole | Error::Offset(_) | Error::NoAnswer => ErrorCode::Conflict,
            Error::Refused(Refusal::TooMany) | Error::TooManySessions(_) | Error::TooManyFiles(_) => {
                ErrorCode::Forbidden
            }
            Error::Order(_) | Error::Timers(_) | Error::Upload(_) | Error::NoSuchUpload => ErrorCode::BadRequest,
            Error::TooLarge(..) => ErrorCode::TooLarge,
            Error::DiskFull => ErrorCode::DiskFull,
            Error::Arrival(error) => return error.into(),
            Error::Store(error) => return error.into(),
            Error::Disk(error) => return Self::internal(error),
        };
        Self::new(code, text)
    }
}
