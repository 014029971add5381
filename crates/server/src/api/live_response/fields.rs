//! Fields of requests that both forms share.

use super::super::{ApiError, Call, Form};
use super::COMMAND_BYTES_MAX;
use crate::live::Error;
use muster_live::Timers;
use serde_json::{Map, Value};

/// A number of seconds that may be given under one of these names.
fn seconds(fields: &Form, names: &[&str]) -> Result<Option<u32>, ApiError> {
    for name in names {
        if let Some(number) = fields.number(name)? {
            let number = u64::try_from(number).unwrap_or(0);
            let seconds = Timers::checked(number).map_err(Error::from);
            return Ok(Some(seconds.map_err(|error| ApiError::bad_request(format!("{name}: {error}")))?));
        }
    }
    Ok(None)
}

/// The times that a client asks for when it opens a session.
pub(super) fn timers(call: &Call) -> Result<Timers, ApiError> {
    let fields = &call.fields;
    let check_in_s = seconds(fields, &["checkin_timeout", "check_in_timeout"])?;
    let session_s = seconds(fields, &["session_timeout"])?;
    let mut timers = call.app.live.timers(check_in_s, session_s);
    timers.wait_s = seconds(fields, &["sensor_wait_timeout"])?;
    timers.command_s = seconds(fields, &["default_command_timeout"])?;
    Ok(timers)
}

/// Whether the request waits. Any other word than these means that it does not.
pub(super) fn waits(call: &Call) -> bool {
    matches!(call.fields.get("wait"), Some("true" | "True" | "1"))
}

/// The number of a device under one of these names, if it is there.
pub(super) fn device(fields: &Form, names: &[&str]) -> Result<Option<u32>, ApiError> {
    for name in names {
        if let Some(number) = fields.number(name)? {
            return Ok(Some(u32::try_from(number).map_err(|_| Error::NoDevice)?));
        }
    }
    Ok(None)
}

/// The request of a command: what the client sent but for the id of the session, and its time.
pub(super) fn command(call: &Call, session: &str) -> Result<(Map<String, Value>, Option<u32>), ApiError> {
    if call.body.len() > COMMAND_BYTES_MAX {
        return Err(ApiError::too_large(format!("a command may have at most {COMMAND_BYTES_MAX} bytes")));
    }
    let mut request = call.json()?.ok_or_else(|| ApiError::bad_request("the body must be a JSON object"))?;
    match request.remove("session_id") {
        None | Some(Value::Null) => {}
        Some(Value::String(named)) if named == session => {}
        Some(_) => return Err(ApiError::bad_request("session_id is not the session of the path")),
    }
    let timeout = match request.get("command_timeout").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let number = text.parse().map_err(|_| ApiError::bad_request("command_timeout must be a whole number"))?;
            Some(Timers::checked(number).map_err(Error::from)?)
        }
    };
    Ok((request, timeout))
}

/// Which commands a client asks for. Source: reference/live-response.md section 4.1.
pub(super) fn filter(call: &Call) -> Result<(Option<Wanted>, usize), ApiError> {
    let status = call.fields.get("status").filter(|status| !status.is_empty());
    let wanted = match status.map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("completed" | "complete") => Some(Wanted::Complete),
        Some("in progress" | "in_progress") => Some(Wanted::Unfinished),
        Some("canceled" | "cancelled" | "cancel") => Some(Wanted::Cancelled),
        Some("pending") => Some(Wanted::Pending),
        Some("error") => Some(Wanted::Failed),
        Some(_) => {
            let text = "status must be completed, in progress, canceled, pending or error";
            return Err(ApiError::bad_request(text));
        }
    };
    let count = match call.fields.number("count")? {
        None => usize::MAX,
        Some(count @ 1..) => usize::try_from(count).unwrap_or(usize::MAX),
        Some(_) => return Err(ApiError::bad_request("count must be a whole number from 1")),
    };
    Ok((wanted, count))
}

/// A choice of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Complete,
    Unfinished,
    Cancelled,
    Pending,
    Failed,
}

impl Wanted {
    pub(super) fn has(self, state: muster_live::State) -> bool {
        use muster_live::State;
        match self {
            Self::Complete => state == State::Complete,
            Self::Unfinished => matches!(state, State::Pending | State::Running),
            Self::Cancelled => state == State::Cancelled,
            Self::Pending => state == State::Pending,
            Self::Failed => state == State::Failed,
        }
    }
}
