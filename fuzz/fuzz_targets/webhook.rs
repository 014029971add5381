//! Any body is read as an event, a message or an answer, or is refused; what was read is written so that it is read alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_webhook::service::{self, Envelope, InvestigationId, Parameters, ResourceRequest};
use muster_webhook::{canonical, extension, is_signed, sign};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let text = canonical::to_vec(&value);
        assert!(text.iter().all(|byte| matches!(byte, b' '..=b'~')), "only printable ASCII");
        assert_eq!(serde_json::from_slice::<Value>(&text).expect("JSON"), value);
        assert!(is_signed("secret", &text, &sign("secret", &text)));
        if let Some(data) = value.as_object() {
            let _ = ResourceRequest::answer(data, &Default::default()).to_value();
            if let Ok(declared) = serde_json::from_value::<Parameters>(value.clone()) {
                let _ = service::check_parameters(&declared, data);
            }
        }
        if let Ok(health) = serde_json::from_value::<service::Health>(value.clone()) {
            let again = serde_json::to_value(&health.mtd).and_then(serde_json::from_value::<service::Metadata>);
            assert_eq!(again.ok(), Some(health.mtd), "what a service says of itself is kept as it was said");
        }
        schema(value);
    }
    if let Ok(event) = Envelope::read(body) {
        // A fraction of a second is not written.
        let written = event.to_vec();
        let again = Envelope::read(&written).expect("an event");
        assert_eq!(again.to_vec(), written);
    }
    if let Ok(message) = extension::Message::read(body) {
        assert_eq!(extension::Message::read(&message.to_vec()), Ok(message));
    }
    for status in [200, 401, 503] {
        if let service::Verdict::Done(answer) = service::judge(status, body) {
            let written = answer.to_value().to_string();
            assert!(matches!(service::judge(200, written.as_bytes()), service::Verdict::Done(_)), "{written}");
        }
        let _ = extension::judge(status, body, false);
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Some(Ok(id)) = InvestigationId::parse("a", text)
    {
        assert_eq!(id.of("a"), text, "ids are kept byte for byte");
    }
});

/// A schema is read as it was written, and checks whatever is called.
fn schema(value: Value) {
    let Ok(schema) = serde_json::from_value::<extension::Schema>(value.clone()) else { return };
    let again = serde_json::to_value(&schema).and_then(serde_json::from_value::<extension::Schema>);
    assert_eq!(again.ok().as_ref(), Some(&schema));
    if let Value::Object(data) = value {
        let action = schema.request_schema.keys().next().cloned().unwrap_or_default();
        let _ = extension::check_action(&schema, &action, data);
    }
}
