//! Log lines: one JSON object each. Source: reference/service-protocol.md section 17.3.

use muster_model::Timestamp;
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::Arc;

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: what happens.
    Out,
    /// Standard error: what somebody should look at.
    Err,
}

/// What puts a line where it belongs.
type Write = dyn Fn(Stream, &str) + Send + Sync;

/// Writes log lines of one program.
#[derive(Clone)]
pub struct Log {
    name: String,
    is_extension: bool,
    write: Arc<Write>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Log {
    /// Lines of a service, on the standard streams.
    #[must_use]
    pub fn standard(name: &str) -> Self {
        Self::to(name, |stream, line| match stream {
            Stream::Out => println!("{line}"),
            Stream::Err => eprintln!("{line}"),
        })
    }

    /// Lines of a service, wherever `write` puts them.
    pub fn to(name: &str, write: impl Fn(Stream, &str) + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), is_extension: false, write: Arc::new(write) }
    }

    /// The same for an extension, which names itself in another field.
    pub(crate) fn of_extension(self) -> Self {
        Self { is_extension: true, ..self }
    }

    /// Something happened. The fields of `data` stand beside the message.
    pub fn info(&self, now: Timestamp, message: &str, data: &Map<String, Value>) {
        let mut line = data.clone();
        line.insert("message".to_owned(), json!(message));
        let who = if self.is_extension { "extension" } else { "service" };
        self.line(Stream::Out, who, "INFO", now, line);
    }

    /// Something happened that somebody should look at.
    pub fn critical(&self, now: Timestamp, message: &str) {
        let line = [("message".to_owned(), json!(message))].into_iter().collect();
        let who = if self.is_extension { "extension" } else { "actor" };
        self.line(Stream::Err, who, "ERROR", now, line);
    }

    fn line(&self, stream: Stream, who: &str, severity: &str, now: Timestamp, mut line: Map<String, Value>) {
        line.insert(who.to_owned(), json!(self.name));
        line.insert("severity".to_owned(), json!(severity));
        let nanos = now.as_micros().rem_euclid(1_000_000) * 1_000;
        line.insert("timestamp".to_owned(), json!({"seconds": now.as_secs(), "nanos": nanos}));
        (self.write)(stream, &Value::Object(line).to_string());
    }
}
