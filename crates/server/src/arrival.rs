//! Bodies of requests, as they come in: bounded in time and, all together, in memory.

use crate::held::HeldBytes;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, future};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Every body may take this long, however slowly it comes.
const GRACE: Duration = Duration::from_secs(10);

/// What a sender must reach on average after that, in bytes per second: half of what a modem did.
const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;

/// A body that is kept in memory has arrived after this time, or is given up: 8 MiB at 28 KB/s, or the largest
/// configuration at 280 KB/s.
const WHOLE_MAX: Duration = Duration::from_secs(300);

/// How much of a body that was refused is still read, and for how long.
const REFUSED_BYTES_MAX: u64 = 256 * 1024 * 1024;
const REFUSED_MAX: Duration = Duration::from_secs(10);

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// The sender is too slow, or silent.
    #[error("the body came more slowly than {BYTES_PER_SECOND_MIN} bytes per second, and was given up")]
    Slow,
    /// It has more bytes than this.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// Bodies of other requests take all the memory there is for them.
    #[error("too many request bodies are under way; try again")]
    Busy,
    /// The connection broke, or what came is not HTTP.
    #[error("the body could not be read: {0}")]
    Broken(String),
}

/// How fast one body comes in.
pub struct Arrival {
    began: Instant,
    bytes: u64,
}

impl Arrival {
    /// A body begins to come in.
    #[must_use]
    pub fn begin() -> Self {
        Self { began: Instant::now(), bytes: 0 }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ArrivalError::Slow`] and [`ArrivalError::Broken`].
    pub async fn next<B>(&mut self, body: &mut B) -> Result<Option<Bytes>, ArrivalError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        loop {
            let due =
                self.began + GRACE + Duration::from_millis(self.bytes.saturating_mul(1_000) / BYTES_PER_SECOND_MIN);
            let frame = timeout_at(due, body.frame()).await.map_err(|_| ArrivalError::Slow)?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| ArrivalError::Broken(error.to_string()))?;
            // Trailers carry nothing that anyone asks for.
            let Ok(piece) = frame.into_data() else { continue };
            self.bytes = self.bytes.saturating_add(piece.len() as u64);
            return Ok(Some(piece));
        }
    }
}

/// Reads what still comes of a body that is refused, and keeps nothing of it. Who sends all of a body before reading the
/// answer would else find a broken connection, not the reason, and send it again.
pub async fn read_past<E>(pieces: impl Stream<Item = Result<Bytes, E>>) {
    let mut left = REFUSED_BYTES_MAX;
    let come = pieces.take_while(|piece| {
        left = left.saturating_sub(piece.as_ref().map_or(u64::MAX, |piece| piece.len() as u64));
        future::ready(left > 0)
    });
    // The refusal is told whether or not all has come by then.
    let _ = timeout_at(Instant::now() + REFUSED_MAX, come.for_each(|_| future::ready(()))).await;
}

/// Bytes of bodies that are in memory while they come in.
pub struct Bodies {
    bytes: HeldBytes,
    most: usize,
}

impl Bodies {
    /// At most so many bytes at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { bytes: HeldBytes::default(), most }
    }

    /// Receives a whole body of at most so many bytes.
    ///
    /// # Errors
    ///
    /// [`ArrivalError`] says what the sender can do.
    pub async fn receive<B>(&self, mut body: B, bytes_max: usize) -> Result<Bytes, ArrivalError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(ArrivalError::TooLong(bytes_max));
        }
        let mut held = self.bytes.hold(0);
        let mut arrival = Arrival::begin();
        let whole = async {
            let mut whole = BytesMut::new();
            while let Some(piece) = arrival.next(&mut body).await? {
                if whole.len() + piece.len() > bytes_max {
                    return Err(ArrivalError::TooLong(bytes_max));
                }
                if held.grow(piece.len()) > self.most {
                    return Err(ArrivalError::Busy);
                }
                whole.extend_from_slice(&piece);
            }
            Ok(whole.freeze())
        };
        timeout_at(Instant::now() + WHOLE_MAX, whole).await.unwrap_or(Err(ArrivalError::Slow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{BodyDataStream, Full, StreamBody};
    use hyper::body::Frame;
    use std::convert::Infallible;
    use tokio::time::sleep;

    /// A body without end: a piece of so many bytes each second.
    fn endless(bytes: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let pieces = stream::repeat(()).then(move |()| async move {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; bytes])))
        });
        StreamBody::new(Box::pin(pieces))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_given_up() {
        let bodies = Bodies::new(usize::MAX);
        for (bytes, seconds) in [(0, 10), (1, 10), (2_048, 19)] {
            let began = Instant::now();
            let error = bodies.receive(endless(bytes), usize::MAX).await.unwrap_err();
            assert!(matches!(error, ArrivalError::Slow), "{error}");
            let took = began.elapsed().as_secs();
            assert!((seconds..=seconds + 1).contains(&took), "{bytes} bytes a second: after {took} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_memory_does_not_come_in_for_ever_however_fast() {
        let began = Instant::now();
        let error = Bodies::new(usize::MAX).receive(endless(8_192), usize::MAX).await.unwrap_err();
        assert!(matches!(error, ArrivalError::Slow), "{error}");
        assert_eq!(began.elapsed(), WHOLE_MAX);
        // A file on its way to the disk may.
        let (mut arrival, mut body) = (Arrival::begin(), endless(8_192));
        while began.elapsed() < WHOLE_MAX * 3 {
            assert!(arrival.next(&mut body).await.unwrap().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_read_past_for_so_long_and_so_far() {
        let began = Instant::now();
        let slow = BodyDataStream::new(endless(1));
        read_past(slow).await;
        assert_eq!(began.elapsed(), REFUSED_MAX);
        let mut read = 0;
        let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
        read_past(stream::repeat(piece).inspect(|_| read += 1).map(Ok::<_, Infallible>)).await;
        assert_eq!(read, REFUSED_BYTES_MAX / (1024 * 1024));
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_a_bound_and_give_back_what_they_took() {
        let bodies = Bodies::new(10_000);
        let full = |bytes| Full::new(Bytes::from(vec![b'x'; bytes]));
        assert!(matches!(bodies.receive(full(11), 10).await, Err(ArrivalError::TooLong(10))));
        assert!(matches!(bodies.receive(endless(9_000), 20_000).await, Err(ArrivalError::Busy)));
        assert_eq!(bodies.receive(full(10_000), 20_000).await.unwrap().len(), 10_000);
        assert_eq!(bodies.bytes.get(), 0);
    }
}
