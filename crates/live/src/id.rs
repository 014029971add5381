//! Ids of sessions.

use std::fmt;
use std::str::FromStr;

/// `NUMBER:DEVICE`: the number of the session in its organization, and the number of the device there.
/// Source: reference/live-response.md section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// Counts the sessions of an organization, from 1.
    pub number: u64,
    /// Number of the device, from 1.
    pub device: u32,
}

/// A text that is no id of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session id is two numbers with a colon between them, such as 1:37191")]
pub struct NoSessionId;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.device)
    }
}

impl FromStr for SessionId {
    type Err = NoSessionId;

    fn from_str(text: &str) -> Result<Self, NoSessionId> {
        let (number, device) = text.split_once(':').ok_or(NoSessionId)?;
        let is_decimal = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_decimal(number) || !is_decimal(device) {
            return Err(NoSessionId);
        }
        Ok(Self { number: number.parse().map_err(|_| NoSessionId)?, device: device.parse().map_err(|_| NoSessionId)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_exactly_one_colon_and_two_numbers() {
        let id = SessionId { number: 213, device: 12312 };
        assert_eq!((id.to_string().as_str(), "213:12312".parse()), ("213:12312", Ok(id)));
        for text in
            ["", ":", "1", "1:", ":1", "1:2:3", "+1:2", "1: 2", "-1:2", "1:4294967296", "18446744073709551616:1"]
        {
            assert_eq!(text.parse::<SessionId>(), Err(NoSessionId), "{text}");
        }
    }
}
