//! One connection of a sensor, from the WebSocket upgrade to its end.

use super::incoming::{Incoming, Lanes};
use super::owner::{Admitted, Owner};
use crate::held::Waiting;
use crate::jobs::Jobs;
use crate::link::Link;
use crate::random;
use futures_util::{SinkExt as _, StreamExt as _};
use muster_wire::{Assembler, Challenge, FRAME_BYTES_MAX, FromSensor, FromServer, encode, from_sensor, from_server};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// From the end of the TLS handshake to `Welcome`; a silent client is cut off.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Without a word from the sensor for this long, the link is dead; sensors ping every 30 s.
const SILENCE_MAX: Duration = Duration::from_secs(95);

/// A sensor that does not take one message, or the rest of its buffers, in this time does not read: it is cut off,
/// so that it does not look as if it could be reached. As long as the sensor waits for an answer of the server.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// How long acknowledgements wait for those of what is still at work: each write costs as much as all else that a short
/// message makes the server do, and the sensor has no use for them but to forget what it keeps.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(20);

/// Small buffers, because every idle link keeps them. Measured in `docs/benchmarks.md`.
const READ_BUFFER_BYTES: usize = 1_024;

/// Messages that are written together: they share a TLS record and a write to the socket, which cost more than a short
/// message. A buffer grows to what was written at once, and stays.
const WRITTEN_TOGETHER_BYTES: usize = 2 * 1_024;

/// What a sensor may have to write before it is cut off.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Any byte stream: TLS in production, a pipe in tests.
pub trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// Boxed, so that the task of an idle link is small.
type Socket = WebSocketStream<Pin<Box<dyn Stream>>>;

/// Why a link ended; for the log alone.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the link broke")]
    Socket(#[from] tungstenite::Error),
    #[error("the sensor sent something that is not of this protocol")]
    Frame(#[from] muster_wire::FrameError),
    #[error("the sensor said nothing for too long")]
    Silence,
    #[error("the sensor reads nothing")]
    Deaf,
    #[error("expected a hello")]
    NoHello,
}

/// What has the sockets of sensors.
pub struct Edge {
    /// Where their organizations are.
    pub(crate) owner: Arc<dyn Owner>,
    /// Messages that wait to be worked on.
    pub(crate) waiting: Waiting,
    pub(crate) jobs: Jobs,
}

/// Serves one sensor on a connected stream until the link ends.
pub async fn serve(edge: Arc<Edge>, stream: Pin<Box<dyn Stream>>, source: Option<IpAddr>) {
    let opened = timeout(HANDSHAKE_MAX, Box::pin(open(&edge, stream, source))).await;
    let (socket, admitted) = match opened {
        Ok(Ok(Some(opened))) => opened,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::debug!(?source, %error, "a sensor did not get through the handshake");
            return;
        }
        Err(_) => return,
    };
    // A fresh task: the future of the handshake is large, an idle link must not keep it.
    edge.jobs.spawn(run(Arc::clone(&edge), socket, admitted));
}

/// How the socket of a sensor is set up.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITTEN_TOGETHER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
}

async fn open(
    edge: &Arc<Edge>,
    stream: Pin<Box<dyn Stream>>,
    source: Option<IpAddr>,
) -> Result<Option<(Socket, Admitted)>, LinkError> {
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config())).await?;
    let nonce: [u8; 32] = random::bytes();
    let challenge = from_server::Message::Challenge(Challenge { nonce: nonce.to_vec() });
    write(&mut socket, challenge).await?;
    let mut reader = Reader::default();
    let hello = loop {
        let Some(message) = reader.next(&mut socket).await? else { return Ok(None) };
        match message.and_then(|(message, _)| message.message) {
            Some(from_sensor::Message::Hello(hello)) => break hello,
            Some(_) => return Err(LinkError::NoHello),
            None => {}
        }
    };
    match Arc::clone(&edge.owner).attach(*hello, nonce, source).await {
        // The link counts from now on: nothing may fail before the task that will take it back.
        Ok(admitted) => Ok(Some((socket, admitted))),
        Err(answer) => {
            write(&mut socket, *answer).await?;
            let _ = socket.close(None).await;
            Ok(None)
        }
    }
}

async fn run(edge: Arc<Edge>, mut socket: Socket, admitted: Admitted) {
    let Admitted { sensor, link, welcome } = admitted;
    let welcome = write(&mut socket, from_server::Message::Welcome(welcome));
    let welcomed = match timeout(HANDSHAKE_MAX, Box::pin(welcome)).await {
        Ok(written) => written,
        Err(_) => Err(LinkError::Silence),
    };
    let incoming = Incoming { sensor, waiting: edge.waiting.clone() };
    let ended = match welcomed {
        Ok(()) => {
            incoming.sensor.welcomed();
            let mut lanes = Lanes::default();
            let ended = exchange(&mut socket, &link, &incoming, &mut lanes).await;
            if let Some(work) = lanes.into_work() {
                edge.jobs.spawn(work);
            }
            ended
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::debug!(link = link.generation, %error, "a link ended");
    }
    incoming.sensor.detach().await;
    let _ = timeout(Duration::from_secs(2), socket.close(None)).await;
}

/// Carries messages both ways until the link ends. What goes out never waits for what comes in.
async fn exchange(socket: &mut Socket, link: &Link, incoming: &Incoming, lanes: &mut Lanes) -> Result<(), LinkError> {
    let mut reader = Reader::default();
    let mut heard = Instant::now();
    let mut speaks_at: Option<Instant> = None;
    loop {
        let may_read = lanes.have_room(incoming);
        if link.has_acknowledgements() {
            let at = *speaks_at.get_or_insert_with(|| Instant::now() + ACKNOWLEDGED_WITHIN);
            if !may_read || lanes.are_idle() || at <= Instant::now() {
                link.wake();
            }
        }
        let silent_at = heard + SILENCE_MAX;
        tokio::select! {
            biased;
            () = link.woken() => {
                let is_last = link.is_closed();
                // Boxed: an idle link must not keep what only writing needs.
                Box::pin(speak(socket, link.take())).await?;
                speaks_at = None;
                if is_last {
                    return Ok(());
                }
            }
            () = lanes.work(incoming) => {
                if !may_read {
                    heard = Instant::now();
                }
            }
            read = timeout_at(speaks_at.map_or(silent_at, |at| at.min(silent_at)), reader.next(socket)), if may_read => {
                let read = match read {
                    Err(_) if silent_at <= Instant::now() => return Err(LinkError::Silence),
                    Err(_) => continue,
                    Ok(read) => read?,
                };
                heard = Instant::now();
                let Some(message) = read else { return Ok(()) };
                if let Some((FromSensor { message: Some(message) }, bytes)) = message {
                    lanes.put(incoming, message, bytes);
                }
            }
        }
    }
}

/// Puts frames together to messages.
#[derive(Default)]
struct Reader {
    assembler: Assembler,
    /// Of the frames of the message that is being put together.
    bytes: usize,
}

impl Reader {
    /// The next whole message with the bytes of its frames: `None` at the end of the link, `Some(None)` after a
    /// control frame or a part. Cancel safe, since both layers below are.
    async fn next(&mut self, socket: &mut Socket) -> Result<Option<Option<(FromSensor, usize)>>, LinkError> {
        match socket.next().await {
            None => Ok(None),
            Some(Ok(Message::Binary(frame))) => {
                self.bytes += frame.len();
                let message = self.assembler.push(&frame)?;
                Ok(Some(message.map(|message| (message, std::mem::take(&mut self.bytes)))))
            }
            Some(Ok(Message::Close(_))) => Ok(None),
            Some(Ok(_)) => Ok(Some(None)),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

/// Writes what was queued, as long as the sensor takes it.
async fn speak(socket: &mut Socket, messages: VecDeque<FromServer>) -> Result<(), LinkError> {
    for message in messages {
        timeout(WRITE_MAX, feed(socket, &message)).await.map_err(|_| LinkError::Deaf)??;
    }
    timeout(WRITE_MAX, socket.flush()).await.map_err(|_| LinkError::Deaf)??;
    Ok(())
}

async fn write(socket: &mut Socket, message: from_server::Message) -> Result<(), LinkError> {
    feed(socket, &FromServer { message: Some(message) }).await?;
    Ok(socket.flush().await?)
}

async fn feed(socket: &mut Socket, message: &FromServer) -> Result<(), LinkError> {
    for frame in encode(message)? {
        socket.feed(Message::Binary(frame.into())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_wire::EventsAck;
    use parking_lot::Mutex;
    use std::io;
    use std::task::{Context, Poll};
    use tokio::io::ReadBuf;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// Takes everything, and keeps how long each write was.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<usize>>>);

    impl AsyncRead for Writes {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Writes {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.lock().push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Goal: a write costs as much as the rest of a short message, so what is queued together is one; a thousand messages
    /// are not kept for one write, and none is left behind.
    #[tokio::test]
    async fn messages_that_are_queued_together_are_written_together() {
        let writes = Writes::default();
        let stream: Pin<Box<dyn Stream>> = Box::pin(writes.clone());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await;
        let message = |seq| from_server::Message::EventsAck(EventsAck { seq, server_now_ms: i64::MAX });
        let queued = |count| (0..count).map(|seq| FromServer { message: Some(message(seq)) }).collect();
        speak(&mut socket, queued(3)).await.unwrap();
        let three = std::mem::take(&mut *writes.0.lock());
        assert_eq!(three.len(), 1, "{three:?}");
        speak(&mut socket, queued(1_000)).await.unwrap();
        let thousand = std::mem::take(&mut *writes.0.lock());
        let longest = WRITTEN_TOGETHER_BYTES + three[0];
        assert!(thousand.iter().all(|bytes| *bytes <= longest), "{thousand:?}");
        assert!(thousand.iter().sum::<usize>() >= 1_000 * three[0] / 3, "{thousand:?}");
    }
}
