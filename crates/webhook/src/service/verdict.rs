//! What the server makes of an answer. Source: reference/service-protocol.md section 4.3.

use super::Answer;
use crate::lenient::{QUOTED_CHARS_MAX, beginning};

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Dealt with: jobs of the answer are applied, and its error, if any, is told.
    Done(Answer),
    /// To be delivered again under the same `mid`, for this reason.
    Again(String),
    /// Failed for good, for this reason.
    Failed(String),
    /// The service has no callback for such events: none is sent until its next health check.
    NotImplemented,
    /// It is called too often: nothing is sent for a while, and this counts as no try.
    Busy,
    /// Secrets differ: nothing more is sent until somebody looks at it.
    WrongSecret,
}

/// Judges the answer to a delivery by status and body; types in headers mean nothing.
#[must_use]
pub fn judge(status: u16, body: &[u8]) -> Verdict {
    match status {
        200 => judge_answer(body),
        401 => Verdict::WrongSecret,
        429 => Verdict::Busy,
        // Nothing that the same bytes could change.
        400 | 413 | 415 => Verdict::Failed(format!("the service answered HTTP {status}{}", said(body))),
        _ => Verdict::Again(format!("the service answered HTTP {status}{}", said(body))),
    }
}

fn judge_answer(body: &[u8]) -> Verdict {
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() || body.trim_ascii_start().first() != Some(&b'{')
    {
        return Verdict::Again(format!("the answer is not a JSON object{}", said(body)));
    }
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => return Verdict::Failed(format!("the answer cannot be used: {error}")),
    };
    if answer.success {
        return Verdict::Done(answer);
    }
    if answer.is_not_implemented() {
        return Verdict::NotImplemented;
    }
    let reason = answer.trouble().unwrap_or("the service gave no reason");
    let reason = beginning(reason, QUOTED_CHARS_MAX);
    if answer.retry { Verdict::Again(reason) } else { Verdict::Failed(reason) }
}

/// The beginning of what the other side said, for people.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..4 * QUOTED_CHARS_MAX).unwrap_or(body));
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {}", beginning(text, QUOTED_CHARS_MAX)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Again(_))
    }

    fn failed(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Failed(_))
    }

    #[test]
    fn checklist_21_1_12_each_kind_of_answer_is_classified() {
        let ok = |text: &str| judge(200, text.as_bytes());
        assert_eq!(ok(r#"{"success": true, "data": {}}"#), Verdict::Done(Answer::done()));
        assert!(
            matches!(ok(r#"{"success":true,"data":null,"error":"half"}"#), Verdict::Done(answer) if answer.error.is_some())
        );
        assert!(failed(&ok(r#"{"success": false, "data": {}, "retry": false}"#)));
        assert!(failed(&ok(r#"{"success": false}"#)), "no word about another try");
        assert!(again(&ok(r#"{"success": false, "data": {}, "retry": true}"#)));
        let thrown = ok(r#"{"success": false, "data": {"exception": "Traceback"}, "retry": true}"#);
        assert_eq!(thrown, Verdict::Again("Traceback".into()));
        assert!(failed(&ok(r#"{"anything": 1}"#)), "an object that does not say success");
        assert!(failed(&ok(r#"{"success": "yes"}"#)), "a word is no truth");
        assert_eq!(ok(r#"{"success":false,"error":"not implemented","data":null}"#), Verdict::NotImplemented);
        assert_eq!(
            ok(r#"{"success": false, "data": {"error": "not implemented"}, "retry": false}"#),
            Verdict::NotImplemented
        );
    }

    #[test]
    fn checklist_21_1_15_transport_failures_are_tried_again() {
        for body in ["", "[]", "null", "<html>", "{", "true"] {
            assert!(again(&judge(200, body.as_bytes())), "{body}");
        }
        assert!(again(&judge(500, b"")) && again(&judge(502, b"<html>")) && again(&judge(302, b"")));
        assert!(failed(&judge(413, b"too large")) && failed(&judge(415, b"")) && failed(&judge(400, b"")));
    }

    #[test]
    fn checklist_21_1_14_another_secret_is_no_failure_of_one_event() {
        assert_eq!(judge(401, b"bad origin signature"), Verdict::WrongSecret);
    }

    #[test]
    fn nine_4_a_service_that_is_called_too_often_has_failed_at_nothing() {
        assert_eq!(judge(429, b"slow down"), Verdict::Busy);
    }

    #[test]
    fn foreign_texts_are_cut() {
        let Verdict::Again(reason) = judge(500, "é".repeat(100_000).as_bytes()) else { panic!("to be tried again") };
        assert!(reason.chars().count() < QUOTED_CHARS_MAX + 60, "{}", reason.len());
    }
}
