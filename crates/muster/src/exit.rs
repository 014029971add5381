//! Exit codes: what a script learns from a failure.

use muster_client::{ClientError, ErrorCode};
use std::fmt;

/// The codes, for the end of `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  not authenticated, or not allowed
  3  not found
  4  the request is wrong
  5  the server is not reachable, is busy, or was asked too often";

/// The command line cannot be carried out as it stands.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Something answered that it was not content; that was shown already.
#[derive(Debug)]
pub struct NotDone;

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not done")
    }
}

impl std::error::Error for NotDone {}

/// A program that was run on an endpoint ended with this exit code.
#[derive(Debug)]
pub struct Ended(pub i64);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it ended with code {}", self.0)
    }
}

impl std::error::Error for Ended {}

/// Code for a wrong request; also for a command line that cannot be read.
pub const WRONG_REQUEST: u8 = 4;

/// The code of a failure.
pub fn code_of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<Usage>()) {
        return WRONG_REQUEST;
    }
    if let Some(Ended(code)) = error.chain().find_map(|cause| cause.downcast_ref()) {
        return u8::try_from(*code).ok().filter(|code| *code != 0).unwrap_or(1);
    }
    let of_client = error.chain().find_map(|cause| cause.downcast_ref::<ClientError>());
    match of_client {
        Some(ClientError::Settings(_)) => WRONG_REQUEST,
        Some(ClientError::Unreachable { .. }) => 5,
        Some(error) => match error.status() {
            Some(401 | 403) => 2,
            Some(404) => 3,
            Some(400 | 405 | 409 | 413 | 422) => WRONG_REQUEST,
            Some(429 | 503) => 5,
            _ => 1,
        },
        None => 1,
    }
}

/// What to do about a failure, as far as that is not said already.
pub fn advice(error: &anyhow::Error) -> Option<String> {
    let of_client = error.chain().find_map(|cause| cause.downcast_ref::<ClientError>())?;
    match of_client {
        ClientError::Unreachable { cause, .. } if cause.contains("certificate") => {
            Some("is the right CA file set (--ca-file, SSL_CERT_FILE)?".into())
        }
        ClientError::Unreachable { .. } => {
            Some("does the server run? `muster up` starts one, `muster doctor` looks".into())
        }
        ClientError::Refused { retry_after_s: Some(seconds), .. } => Some(format!("try again in {seconds} s")),
        ClientError::Refused { status: 401, code, .. } if *code != Some(ErrorCode::MissingPermission) => {
            Some("check the organization id and the API key (`muster profile show` tells where they come from)".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_code() {
        let refused = |status| ClientError::Refused { status, code: None, message: String::new(), retry_after_s: None };
        let codes = [(401, 2), (403, 2), (404, 3), (400, 4), (409, 4), (429, 5), (503, 5), (500, 1)];
        for (status, code) in codes {
            let error = anyhow::Error::from(refused(status)).context("while at it");
            assert_eq!(code_of(&error), code, "{status}");
        }
        assert_eq!(code_of(&anyhow::anyhow!("other")), 1);
        assert_eq!(code_of(&Usage("wrong".into()).into()), 4);
        assert_eq!([3, 0, 300, -1].map(|code| code_of(&Ended(code).into())), [3, 1, 1, 1]);
    }
}
