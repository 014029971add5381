//! Live streams of records. Source: reference/rest-api.md section 9.1.

use crate::{Client, ClientError};
use reqwest::{Method, Response};
use serde_json::Value;

/// Longest record; the server caps events far below it.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Events of sensors.
    Event,
    /// Detections of rules.
    Detect,
    /// Who changed what.
    Audit,
    /// Sensors that come, go, and change.
    Deployment,
}

impl StreamKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Detect => "detect",
            Self::Audit => "audit",
            Self::Deployment => "deployment",
        }
    }
}

/// What of a stream to hear; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Investigation id, compared up to its first `/`.
    pub investigation_id: Option<String>,
    /// Tag of the sensor.
    pub tag: Option<String>,
    /// Event type, or category of a detection.
    pub category: Option<String>,
    /// The sensor.
    pub sid: Option<String>,
}

/// A stream that is connected: every record from now on comes through.
pub struct RecordStream {
    response: Response,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to a stream; answers once the server says that it is connected.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn stream(&self, kind: StreamKind, filter: &Filter) -> Result<RecordStream, ClientError> {
        // The key and not a token: a stream ends with what was shown for it, and a token is over in an hour.
        let mut form = vec![("type", kind.name().to_owned()), ("api_key", self.settings.api_key.clone())];
        form.extend(self.settings.uid.clone().map(|uid| ("uid", uid)));
        let conditions = [
            ("inv_id", &filter.investigation_id),
            ("tag", &filter.tag),
            ("cat", &filter.category),
            ("sid", &filter.sid),
        ];
        form.extend(conditions.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        let request = self.http.request(Method::POST, self.at(&[self.oid()])).form(&form);
        let mut stream = RecordStream { response: self.send(request).await?, buffer: Vec::new() };
        match stream.next_line().await? {
            Some(first) if first.get("__trace").and_then(Value::as_str) == Some("connected") => Ok(stream),
            _ => Err(ClientError::Answer("the stream does not begin as streams do".into())),
        }
    }
}

impl RecordStream {
    /// The next record; `None` when the server ended the stream. An object with
    /// `__trace` = `dropped` tells that `n` records were lost because this reader is slow.
    ///
    /// # Errors
    ///
    /// If the connection broke, or the server said that something is wrong.
    ///
    /// # Cancel safety
    ///
    /// No record is lost when the caller stops waiting.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            match self.next_line().await? {
                Some(record) if record.get("__trace").and_then(Value::as_str) == Some("keepalive") => {}
                other => return Ok(other),
            }
        }
    }

    async fn next_line(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.starts_with(b"error:") {
                    return Err(ClientError::Answer(String::from_utf8_lossy(&line).trim().to_owned()));
                }
                match serde_json::from_slice(&line) {
                    Ok(record) => return Ok(Some(record)),
                    Err(_) => continue,
                }
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(ClientError::Answer(format!("a record is longer than {LINE_BYTES_MAX} bytes")));
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| ClientError::Answer(format!("the stream broke off: {error}")))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}
