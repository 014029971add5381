//! The one place where the sensor asks for chance.

use uuid::Uuid;

/// A random UUID (version 4).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn uuid() -> Uuid {
    Uuid::new_v4()
}
