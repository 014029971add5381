//! Where the sensor runs under: telling the service manager that it is up, hearing that it is to stop.
//!
//! Source: sd_notify(3).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Runs the sensor as a service: as in the foreground.
///
/// # Errors
///
/// That of `work`.
pub fn serve(work: impl FnOnce() -> Result<(), String> + Send + 'static) -> Result<(), String> {
    work()
}

/// Where a service writes its log: the service manager keeps what it writes to its output.
#[must_use]
pub fn log() -> BoxMakeWriter {
    BoxMakeWriter::new(std::io::stderr)
}

/// Tells the manager that started this program, if one did and wants to know.
pub fn ready() {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(&name),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address));
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager cannot be told that the sensor is up");
    }
}

/// Hears that the sensor is to stop.
#[derive(Debug)]
pub struct Stopping(Vec<Signal>);

impl Stopping {
    /// Begins to listen; only within a runtime.
    #[must_use]
    pub fn listen() -> Self {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    /// Waits until it is told. Cancel safe.
    pub async fn told(&mut self) {
        let each = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(each).await;
    }
}
