//! Live sessions, in the first published form. Source: reference/live-response.md sections 3 to 6.

use crate::transport::json_of;
use crate::{Client, ClientError};
use bytes::Bytes;
use futures_util::{Stream, stream};
use muster_api_types::{LiveCommandV3, LiveDeviceNumber, LiveFile, LiveSessionV3, LiveTranscript};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// Where the first form is, below the root.
const BASE: [&str; 3] = ["integrationServices", "v3", "cblr"];

/// Bytes of an upload that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

impl Client {
    async fn live<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        self.call_at(method, &[&BASE[..], path].concat(), query, body).await
    }

    /// The number by which live sessions know a sensor.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn live_device(&self, sid: &str) -> Result<u32, ClientError> {
        Ok(self.get::<LiveDeviceNumber>(&["live", self.oid(), "devices", sid], Vec::new()).await?.device_id)
    }

    /// Sessions that are not over.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn live_sessions(&self) -> Result<Vec<LiveSessionV3>, ClientError> {
        self.live(Method::GET, &["session"], &[("active_only", "true".into())], None).await
    }

    /// Opens a session with a device, or gives the one that is open already; the sensor is waited for so long.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn open_live_session(&self, device: u32, check_in_s: u64) -> Result<LiveSessionV3, ClientError> {
        let body = json!({"sensor_id": device, "checkin_timeout": check_in_s});
        self.live(Method::POST, &["session", &device.to_string()], &[], Some(&body)).await
    }

    /// A session, after its sensor has come; answers in two minutes at most.
    ///
    /// # Errors
    ///
    /// 404 for one that has timed out.
    pub async fn settled_live_session(&self, id: &str) -> Result<LiveSessionV3, ClientError> {
        self.live(Method::GET, &["session", id], &[("wait", "true".into())], None).await
    }

    /// Keeps a session from idling.
    ///
    /// # Errors
    ///
    /// 404 for one that is over.
    pub async fn keep_live_session(&self, id: &str) -> Result<LiveSessionV3, ClientError> {
        self.live(Method::GET, &["session", id, "keepalive"], &[], None).await
    }

    /// Closes a session, for everybody.
    ///
    /// # Errors
    ///
    /// 404 for one that has timed out.
    pub async fn close_live_session(&self, id: &str) -> Result<LiveSessionV3, ClientError> {
        let body = json!({"session_id": id, "status": "CLOSE"});
        self.live(Method::PUT, &["session"], &[], Some(&body)).await
    }

    /// Orders a command: `name`, `object`, and what else it takes.
    ///
    /// # Errors
    ///
    /// 404 for a session that is over, 409 for one whose sensor has not come.
    pub async fn order_live_command(&self, session: &str, request: &Value) -> Result<LiveCommandV3, ClientError> {
        self.live(Method::POST, &["session", session, "command"], &[], Some(request)).await
    }

    /// A command; with `wait` after it has ended, or in two minutes at most.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn live_command(&self, session: &str, number: u32, wait: bool) -> Result<LiveCommandV3, ClientError> {
        let path = ["session", session, "command", &number.to_string()];
        self.live(Method::GET, &path, &[("wait", wait.to_string())], None).await
    }

    /// Cancels a command that has not begun.
    ///
    /// # Errors
    ///
    /// 409 if it has.
    pub async fn cancel_live_command(&self, session: &str, number: u32) -> Result<LiveCommandV3, ClientError> {
        self.live(Method::PUT, &["session", session, "command", &number.to_string()], &[], None).await
    }

    /// A file of a session.
    ///
    /// # Errors
    ///
    /// 404 for an unknown file.
    pub async fn live_file(&self, session: &str, id: &str) -> Result<LiveFile, ClientError> {
        self.live(Method::GET, &["session", session, "file", id], &[], None).await
    }

    /// Uploads a file into a session; `moved` is told the bytes of each piece that goes out.
    ///
    /// # Errors
    ///
    /// If the file cannot be read; else whatever the server says.
    pub async fn upload_live_file(
        &self,
        session: &str,
        from: &Path,
        moved: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<LiveFile, ClientError> {
        let at = |source| ClientError::File { path: from.to_owned(), source };
        let file = File::open(from).await.map_err(at)?;
        let length = file.metadata().await.map_err(at)?.len();
        let name = from.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy().into_owned());
        let part = Part::stream_with_length(Body::wrap_stream(pieces(file, moved)), length).file_name(name);
        let request = self
            .http
            .request(Method::POST, self.at(&[&BASE[..], &["session", session, "file"]].concat()))
            .bearer_auth(self.current_token().await?)
            .multipart(Form::new().part("file", part));
        json_of(self.send(request).await?).await
    }

    /// Writes a file of a session to a new file here; `moved` is told the bytes of each piece. Gives its size.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written; else whatever the server says.
    pub async fn download_live_file(
        &self,
        session: &str,
        id: &str,
        to: &Path,
        moved: impl Fn(u64),
    ) -> Result<u64, ClientError> {
        self.download(self.live_content_request(session, id).await?, to, moved).await
    }

    /// The whole of a small file of a session, up to a bound of bytes, and whether that was all.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn live_content(
        &self,
        session: &str,
        id: &str,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, bool), ClientError> {
        let mut response = self.send(self.live_content_request(session, id).await?).await?;
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            content.extend_from_slice(&chunk);
            if content.len() > bytes_max {
                content.truncate(bytes_max);
                return Ok((content, false));
            }
        }
        Ok((content, true))
    }

    async fn live_content_request(&self, session: &str, id: &str) -> Result<RequestBuilder, ClientError> {
        let url = self.at(&[&BASE[..], &["session", session, "file", id, "content"]].concat());
        Ok(self.http.request(Method::GET, url).bearer_auth(self.current_token().await?))
    }

    /// Removes a file of a session.
    ///
    /// # Errors
    ///
    /// 404 for an unknown file.
    pub async fn delete_live_file(&self, session: &str, id: &str) -> Result<LiveFile, ClientError> {
        self.live(Method::DELETE, &["session", session, "file", id], &[], None).await
    }

    /// All that was done in a session, also in one that is not shown any more.
    ///
    /// # Errors
    ///
    /// 404 for an unknown session.
    pub async fn live_transcript(&self, id: &str) -> Result<LiveTranscript, ClientError> {
        self.get(&["live", self.oid(), "transcripts", id], Vec::new()).await
    }
}

/// A file, piece by piece.
fn pieces(
    file: File,
    moved: impl Fn(u64) + Send + Sync + 'static,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, moved), |(mut file, moved)| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        moved(read as u64);
        Ok((read > 0).then(|| (Bytes::from(piece), (file, moved))))
    })
}
