//! Orders to the server itself, from who may look into its data directory: a socket there that its user alone reaches.
//! No organization and none of its keys may give them.

use crate::app::App;
use crate::clock;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader as AsyncBufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Name of the socket in the data directory.
pub const SOCKET: &str = "control";

/// Longest order or answer, in bytes.
const LINE_BYTES_MAX: u64 = 4_096;

/// Whoever connects says what is wanted within this time; others wait meanwhile.
const ORDER_MAX: Duration = Duration::from_secs(10);

/// An answer takes one commit.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// After a failed accept, such as for want of files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What a server is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Make new keys for tokens and credentials.
    RotateKeys {
        /// End the tokens that were made before.
        ends_tokens: bool,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// There are new keys.
    Rotated {
        /// Tokens that were made before are valid until then at most; none if they ended.
        tokens_until: Option<Timestamp>,
        /// Credentials of before are not known any more; none if all are.
        unknown_before: Option<Timestamp>,
    },
    /// Nothing has changed.
    Failed {
        /// Why.
        error: String,
    },
}

/// Opens the socket of a data directory, and carries out orders, one at a time.
pub async fn run(app: Arc<App>) {
    let path = app.config.data_dir.join(SOCKET);
    let (listener, _removed_at_the_end) = match open(&path) {
        Ok(listener) => (listener, Socket(path)),
        // Its path may be too long for a socket, say: everything else works.
        Err(error) => {
            return tracing::warn!(%error, "{} cannot be opened: `muster rotate-keys` will not work", path.display());
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = serve(&app, stream).await {
                    tracing::debug!(%error, "an order to the server broke off");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "orders to the server cannot be taken now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The file of the socket, which a server that stops takes away: copies of the directory would stumble over it.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays is replaced at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

fn open(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // One that a killed server left.
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(app: &App, stream: UnixStream) -> io::Result<()> {
    let mut stream = AsyncBufReader::new(stream);
    let mut line = String::new();
    timeout(ORDER_MAX, (&mut stream).take(LINE_BYTES_MAX).read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(order) => carry_out(app, order).await,
        Err(error) => Answer::Failed { error: format!("this is no order that this server knows: {error}") },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    timeout(ORDER_MAX, stream.get_mut().write_all(&text)).await?
}

async fn carry_out(app: &App, order: Order) -> Answer {
    let Order::RotateKeys { ends_tokens } = order;
    match app.secrets.rotate(&app.records, ends_tokens, clock::now()).await {
        Ok(rotated) => {
            tracing::info!(?rotated, "the keys of tokens and credentials are new");
            Answer::Rotated { tokens_until: rotated.tokens_until, unknown_before: rotated.unknown_before }
        }
        Err(error) => Answer::Failed { error: error.to_string() },
    }
}

/// Gives an order to the server of a data directory. Blocks.
///
/// # Errors
///
/// If no server listens there, or the answer cannot be read.
pub fn give(data_dir: &Path, order: Order) -> io::Result<Answer> {
    let mut stream = BlockingStream::connect(data_dir.join(SOCKET))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let mut text = serde_json::to_vec(&order)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(io::Read::take(stream, LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
