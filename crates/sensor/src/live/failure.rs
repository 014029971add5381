//! Why a command of a session failed. Source: reference/live-response.md sections 8.4 and 8.5.

use std::io;
use std::path::Path;

use muster_live::{Code, Found, Name};

use crate::executor::Hang;
use crate::platform::errors;

/// A failed command.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What clients decide by.
    pub code: Code,
    /// For people.
    pub text: String,
    /// What was found nevertheless.
    pub found: Box<Found>,
}

impl Failure {
    /// A failure with this code and text.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), found: Box::default() }
    }

    /// This command cannot be carried out here.
    #[must_use]
    pub fn unsupported(name: Name) -> Self {
        Self::new(Code::NOT_SUPPORTED, format!("this sensor does not support {}", name.text()))
    }

    /// What the system said about a path: tells a missing file from a missing directory above it.
    #[must_use]
    pub fn at(path: &Path, error: &io::Error) -> Self {
        let is_above_missing = error.kind() == io::ErrorKind::NotFound
            && path.parent().is_some_and(|above| !above.as_os_str().is_empty() && !above.is_dir());
        let code = if is_above_missing { Code::PATH_NOT_FOUND } else { errors::of_session(error) };
        Self::new(code, format!("{}: {error}", path.display()))
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(errors::of_session(&error), error.to_string())
    }
}

impl From<Hang> for Failure {
    fn from(hang: Hang) -> Self {
        let code = match hang {
            Hang::TooMany => Code::BUSY,
            Hang::Crashed => Code::GEN_FAILURE,
        };
        Self::new(code, hang.to_string())
    }
}

/// Failures of what tasks do, too.
impl From<crate::commands::Failure> for Failure {
    fn from(failure: crate::commands::Failure) -> Self {
        Self::new(Code(u32::try_from(failure.code).unwrap_or(Code::GEN_FAILURE.0)), failure.message)
    }
}
