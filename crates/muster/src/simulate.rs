//! Acting as the server towards a service or an extension of this machine.

use crate::connection::{self, Global};
use crate::exit::Usage;
use crate::show;
use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use muster_model::{Oid, Timestamp};
use serde_json::{Map, Value};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Largest answer that a server reads. Source: reference/extension-protocol.md section 2.
const ANSWER_BYTES_MAX: usize = 100 * 1024 * 1024;

/// A program that does not accept a connection in this time is not there.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What the server does about status 429.
pub const BUSY: &str = "send nothing for as long as `retry-after` says, and count this as no try";

/// What the server does about success.
pub const DONE: &str = "be content";

/// As whom to send.
#[derive(clap::Args)]
pub struct Sender {
    /// File with the shared secret, whose last line break is left out; without it nothing is signed
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Send id and token of the organization that the API key belongs to
    #[arg(long)]
    with_token: bool,
}

/// The secret in a file; its last line break is left out.
pub fn secret_of(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r')).to_owned())
}

impl Sender {
    pub fn secret(&self) -> anyhow::Result<Option<String>> {
        self.secret_file.as_deref().map(secret_of).transpose()
    }

    pub async fn token(&self, global: &Global) -> anyhow::Result<Option<(Oid, String)>> {
        if !self.with_token {
            return Ok(None);
        }
        let client = connection::client(global)?;
        let oid = client.oid().parse().map_err(|_| Usage(format!("{} is not an organization id", client.oid())))?;
        Ok(Some((oid, client.token(None).await?)))
    }
}

/// How to send.
pub struct Post {
    pub header: &'static str,
    /// `None` sends no signature.
    pub signature: Option<String>,
    pub is_gzip: bool,
    /// How long to wait for the answer.
    pub waiting: Duration,
}

/// What came back.
pub struct Posted {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Post {
    pub async fn send(self, url: &str, body: Vec<u8>) -> anyhow::Result<Posted> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(self.waiting)
            .user_agent(muster_webhook::service::USER_AGENT)
            .build()?;
        let mut request = http.post(url).header("content-type", "application/json");
        if let Some(signature) = self.signature {
            request = request.header(self.header, signature);
        }
        let body = if self.is_gzip {
            request = request.header("content-encoding", "gzip");
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body)?;
            encoder.finish()?
        } else {
            body
        };
        let mut response = request.body(body).send().await.with_context(|| format!("nothing answers at {url}"))?;
        let mut posted = Posted { status: response.status().as_u16(), body: Vec::new() };
        while let Some(chunk) = response.chunk().await.context("the answer broke off")? {
            anyhow::ensure!(posted.body.len() + chunk.len() <= ANSWER_BYTES_MAX, "the answer is larger than 100 MiB");
            posted.body.extend_from_slice(&chunk);
        }
        Ok(posted)
    }
}

impl Posted {
    /// The answer; a text if it is not JSON.
    pub fn answer(&self) -> Value {
        let text = || Value::String(String::from_utf8_lossy(&self.body).into_owned());
        serde_json::from_slice(&self.body).unwrap_or_else(|_| text())
    }

    pub fn show(&self) {
        show::line(format_args!("HTTP {}", self.status));
        match self.answer() {
            Value::String(text) => show::line(show::safe(&text)),
            answer => show::json(&answer),
        }
    }
}

/// Reads an option that must be a JSON object.
pub fn object(option: &str, text: &str) -> anyhow::Result<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Usage(format!("{option} must be a JSON object, such as {{\"name\": \"Ada\"}}")).into()),
        Err(error) => Err(Usage(format!("{option} is not JSON: {error}")).into()),
    }
}

/// Something to know that is no part of the output.
pub fn note(text: &str) {
    eprintln!("note: {text}");
}

#[expect(clippy::disallowed_methods, reason = "the one place of this command")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

pub fn fresh_id() -> String {
    muster_server::random::uuid().to_string()
}
