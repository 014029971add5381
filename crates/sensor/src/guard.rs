//! What keeps a sensor under test from harming the machine that it shares.

/// Why this sensor may not isolate the machine or switch it off; `None` if it may.
///
/// A development build may only in a name space made for a test, which says so by
/// `MUSTER_TEST_NAMESPACE`; `MUSTER_TEST_SANDBOX` forbids it to any build.
#[must_use]
pub fn objection() -> Option<&'static str> {
    if std::env::var_os("MUSTER_TEST_SANDBOX").is_some() {
        Some("this sensor is under test and shares the machine")
    } else if cfg!(debug_assertions) && std::env::var_os("MUSTER_TEST_NAMESPACE").is_none() {
        Some("this is a development build: it leaves the machine alone")
    } else {
        None
    }
}
