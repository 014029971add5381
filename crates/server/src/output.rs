//! Outputs: where streams are sent, from durable queues.

use crate::app::App;
use crate::stream::Record;
use muster_store::Write;

/// What has to be stored so that outputs get these records.
pub fn enqueue(_app: &App, _records: &[Record]) -> Vec<Write> {
    Vec::new()
}
