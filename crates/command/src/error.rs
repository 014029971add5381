//! Why a command line is refused before it reaches an endpoint.

use std::fmt::Write;

/// How many characters of the operator's own text an error repeats: enough to
/// recognise it, too few to fill a log.
const ECHO_CHARS_MAX: usize = 64;

/// A command line that cannot be sent. The display texts are part of the API.
///
/// Source: reference/commands.md section 4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Nothing but blanks and comments.
    #[error("empty command")]
    Empty,
    /// A quote is open at the end of the text.
    #[error("no closing quotation")]
    NoClosingQuotation,
    /// The line or the tokens exceed [`COMMAND_BYTES_MAX`](crate::COMMAND_BYTES_MAX).
    #[error("command too long")]
    TooLong,
    /// The first token is not a command; `nearest` is one that looks like it.
    #[error("unknown command: {name}{}", hint(*.nearest))]
    UnknownCommand {
        /// What was asked for, shortened.
        name: String,
        /// The most similar command, if one is similar enough.
        nearest: Option<&'static str>,
    },
    /// The command has no such option; holds the option as it was written.
    #[error("unknown argument {0}")]
    UnknownArgument(String),
    /// An option that takes a value has none; holds the canonical option.
    #[error("missing value for --{0}")]
    MissingValue(&'static str),
    /// A value does not fit.
    #[error("error processing {argument}: {reason}")]
    BadValue {
        /// `--name` for a named argument, `NAME` for a positional one.
        argument: String,
        /// What was expected.
        reason: String,
    },
    /// A required argument is missing; holds `NAME` for a positional argument,
    /// `--name` for any other, the confirmation included.
    #[error("{0} is required")]
    Required(String),
    /// A positional token is left over; holds the token, shortened.
    #[error("too many positional arguments at '{0}'")]
    TooManyPositionals(String),
    /// None, or more than one, of these was given; holds the list as written.
    #[error("specify one of {0}")]
    OneOf(String),
    /// The command cannot run on that platform, or the sensor is no endpoint agent.
    #[error("UNSUPPORTED_FOR_PLATFORM")]
    UnsupportedForPlatform,
    /// No payload of this name is stored. The server finds out, by [`Command::payloads`](crate::Command::payloads).
    #[error("payload not found: {0}")]
    PayloadNotFound(String),
    /// Help was asked for: holds the usage text. Nothing is to be sent.
    #[error("{0}")]
    Help(String),
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// The text as an error may repeat it: shortened, control characters escaped
/// so that it cannot forge lines of a log.
pub(crate) fn echo(text: &str) -> String {
    let mut shown = String::new();
    for (at, char) in text.chars().enumerate() {
        if at == ECHO_CHARS_MAX {
            shown.push('…');
            break;
        }
        if char.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}
