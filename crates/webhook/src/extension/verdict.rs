//! What the server makes of an extension's answer: status *and* body count.
//!
//! The status alone misleads: one framework answers 503 to what it calls final, another 400 to what it calls
//! worth another try. Source: reference/extension-protocol.md section 5.2.

use super::Answer;
use crate::lenient::{QUOTED_CHARS_MAX, beginning};

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Carried out.
    Done(Answer),
    /// To be tried again under the same key, for this reason.
    Again(String),
    /// Failed for good, for this reason.
    Failed(String),
    /// It is called too often: nothing is sent for a while, and this counts as no try.
    Busy,
    /// Secrets differ: nothing more is sent until somebody looks at it.
    WrongSecret,
}

/// Judges the answer to a message. Types in headers mean nothing.
///
/// A heartbeat is judged by its status alone (`is_heartbeat`): frameworks differ in what they write.
#[must_use]
pub fn judge(status: u16, body: &[u8], is_heartbeat: bool) -> Verdict {
    let answer = serde_json::from_slice::<Answer>(body);
    let reason = || match &answer {
        Ok(answer) if !answer.error.is_empty() => beginning(&answer.error, QUOTED_CHARS_MAX),
        _ => format!("the extension answered HTTP {status}"),
    };
    match status {
        200..=299 if is_heartbeat => Verdict::Done(answer.unwrap_or_default()),
        200..=299 => match answer {
            Ok(answer) if !answer.error.is_empty() => Verdict::Failed(beginning(&answer.error, QUOTED_CHARS_MAX)),
            // Frameworks answer {} or nothing to what carries no signature, and have done nothing.
            Ok(answer) if answer.version.is_none() => Verdict::Failed(UNSIGNED.to_owned()),
            Ok(answer) => Verdict::Done(answer),
            Err(_) if body.is_empty() => Verdict::Failed(UNSIGNED.to_owned()),
            Err(error) => Verdict::Failed(format!("the answer cannot be used: {error}")),
        },
        401 => Verdict::WrongSecret,
        429 => Verdict::Busy,
        400..=499 => Verdict::Failed(reason()),
        _ if answer.as_ref().is_ok_and(|answer| answer.retriable == Some(false)) => Verdict::Failed(reason()),
        _ => Verdict::Again(reason()),
    }
}

const UNSIGNED: &str = "the extension saw no signature: something on the way takes the header lc-ext-sig out";

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: reference/extension-protocol.md section 5.1.
    #[test]
    fn checklist_19_1_11_each_framework_is_understood() {
        let is_again = |status, body: &str| match judge(status, body.as_bytes(), false) {
            Verdict::Again(reason) => Some((true, reason)),
            Verdict::Failed(reason) => Some((false, reason)),
            Verdict::Done(_) | Verdict::Busy | Verdict::WrongSecret => None,
        };
        let html = "<!doctype html><title>500</title>";
        assert!(is_again(500, html).is_some_and(|(again, _)| again));
        assert!(is_again(500, "").is_some_and(|(again, _)| again));
        let thrown = r#"{"version": 20221218, "error": "boom", "data": {}, "retriable": true}"#;
        assert_eq!(is_again(503, thrown), Some((true, "boom".into())));
        assert_eq!(is_again(400, thrown), Some((false, "boom".into())), "4xx is final whatever the body says");
        let permanent = r#"{"version": 20221218, "error": "never", "data": {}, "retriable": false}"#;
        assert_eq!(is_again(503, permanent), Some((false, "never".into())), "5xx whose body says final");
        let other = r#"{"version":0,"error":"unknown request action: x"}"#;
        assert_eq!(is_again(400, other), Some((false, "unknown request action: x".into())));
        assert_eq!(is_again(500, r#"{"version":0,"error":"e"}"#), Some((true, "e".into())));
        assert_eq!(is_again(200, r#"{"version":20221218,"error":"late"}"#), Some((false, "late".into())));
        assert!(
            matches!(judge(200, br#"{"version":20221218,"error":"","data":5}"#, false), Verdict::Done(answer) if answer.data == 5)
        );
    }

    #[test]
    fn checklist_19_1_13_another_secret_is_no_failure_of_one_call() {
        let body = br#"{"version": 20221218, "error": "invalid signature", "data": {}, "retriable": true}"#;
        assert_eq!(judge(401, body, false), Verdict::WrongSecret);
    }

    #[test]
    fn nine_4_an_extension_that_is_called_too_often_has_failed_at_nothing() {
        assert_eq!(judge(429, b"<html>", false), Verdict::Busy);
    }

    #[test]
    fn checklist_19_1_14_an_unsigned_call_is_no_success() {
        for body in ["", "{}", "{}\n"] {
            assert_eq!(judge(200, body.as_bytes(), false), Verdict::Failed(UNSIGNED.to_owned()), "{body:?}");
        }
    }

    #[test]
    fn checklist_19_1_22_a_heartbeat_is_judged_by_its_status() {
        for body in ["", "{}\n", r#"{"version": 20221218, "data": {}, "retriable": true}"#] {
            assert!(matches!(judge(200, body.as_bytes(), true), Verdict::Done(_)), "{body:?}");
        }
        assert!(matches!(judge(500, b"", true), Verdict::Again(_)));
    }
}
