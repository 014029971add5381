//! What a callback returns, and what becomes of one that panics.

use muster_webhook::service::Answer;
use std::future::Future;
use tokio::task::JoinError;

/// Any error; `?` turns yours into one.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a callback of a service returns. An error is told to the server, which delivers the event again.
pub type Outcome = Result<Answer, Error>;

/// Runs a callback to its end, whatever becomes of the caller; a panic becomes an error.
pub(crate) async fn shielded<T: Send + 'static>(
    callback: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(callback).await {
        Ok(outcome) => outcome,
        Err(error) => Err(panic_text(error).into()),
    }
}

/// What a task that ended early said.
pub(crate) fn panic_text(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".to_owned() };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("without a text"))
}
