//! The bound of what is copied out of a record: actions and transforms may each repeat it often.

use crate::template::TemplateError;
use serde_json::Value;
use std::cell::Cell;

/// Bytes of JSON that one match, or the transform of one record, may copy: of the largest event there is room for
/// a report, an output and a request.
pub(crate) const COPIES_BYTES_MAX: usize = 3 * crate::document::DOCUMENT_BYTES_MAX;

/// What a value takes at least beside its text: a digit or quotes, and what parts it from the next.
pub(crate) const NODE_BYTES: usize = 2;

/// Counts what was copied.
#[derive(Debug, Default)]
pub(crate) struct Copies(Cell<usize>);

impl Copies {
    /// Counts what is about to be copied; an error once there is too much of it.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), TemplateError> {
        self.0.set(self.0.get().saturating_add(bytes));
        if self.0.get() > COPIES_BYTES_MAX {
            let text = format!(
                "one match, or record, is copied to more than {COPIES_BYTES_MAX} bytes; take fewer or smaller parts of it"
            );
            return Err(TemplateError(text));
        }
        Ok(())
    }
}

/// About how many bytes of JSON a value is.
pub(crate) fn bytes_of(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes_of).sum(),
            Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + bytes_of(value)).sum(),
        }
}
