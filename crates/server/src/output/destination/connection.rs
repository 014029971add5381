//! One connection, which the call that uses it drives.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use muster_model::causes;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// What is between the two ends: TCP, or TLS on it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The body of a request.
pub(super) type Outgoing = Full<Bytes>;

/// What the other side answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, as it is on the wire; nothing if it was not to be looked at.
    pub body: Vec<u8>,
}

/// Why there is no answer.
pub(super) enum Ended {
    /// The connection was closed before anything of this was sent.
    Unsent(Box<Request<Outgoing>>),
    /// For this reason; it may have been sent.
    Because(String),
}

/// A connection.
pub(super) struct Connection {
    sender: SendRequest<Outgoing>,
    driver: Driver,
}

type Http = http1::Connection<TokioIo<Box<dyn Wire>>, Outgoing>;

/// The connection itself, until it ends. It is dropped then: that gives back what was not sent.
struct Driver(Option<Box<Http>>);

impl Connection {
    pub(super) async fn begin(wire: Box<dyn Wire>) -> Result<Self, String> {
        let (sender, driven) = http1::handshake(TokioIo::new(wire)).await.map_err(|error| causes(&error))?;
        Ok(Self { sender, driver: Driver(Some(Box::new(driven))) })
    }

    /// Whether it can be used for another call.
    pub(super) fn is_ready(&self) -> bool {
        self.driver.0.is_some() && self.sender.is_ready()
    }

    /// Sends a request, and reads the answer: its body up to a bound, or not at all.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
        bytes_max: Option<usize>,
    ) -> Result<Answer, Ended> {
        let Self { sender, driver } = self;
        let answered = driver.drive(sender.try_send_request(request)).await;
        let response = answered.map_err(Ended::Because)?.map_err(|mut failed| match failed.take_message() {
            Some(unsent) => Ended::Unsent(Box::new(unsent)),
            None => Ended::Because(causes(failed.error())),
        })?;
        let (head, incoming) = response.into_parts();
        let body = match bytes_max {
            Some(bytes_max) => body_of(driver, incoming, bytes_max).await.map_err(Ended::Because)?,
            None => {
                drop(incoming);
                Vec::new()
            }
        };
        // It is ready for another call when it has seen that this one is over.
        poll_fn(|context| {
            driver.go_on(context);
            Poll::Ready(())
        })
        .await;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Driver {
    /// Does what can be done now.
    fn go_on(&mut self, context: &mut Context<'_>) {
        // Why it ended, whoever awaits something of it is told.
        self.0.take_if(|driven| Pin::new(&mut **driven).poll(context).is_ready());
    }

    /// Goes on until something is there that it brings.
    async fn drive<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, String> {
        let mut awaited = pin!(awaited);
        poll_fn(|context| {
            if let Poll::Ready(there) = awaited.as_mut().poll(context) {
                return Poll::Ready(Ok(there));
            }
            self.go_on(context);
            match awaited.as_mut().poll(context) {
                Poll::Ready(there) => Poll::Ready(Ok(there)),
                Poll::Pending if self.0.is_none() => {
                    Poll::Ready(Err("the other side closed the connection".to_owned()))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

async fn body_of(driver: &mut Driver, mut incoming: Incoming, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while !incoming.is_end_stream() {
        let Some(frame) = driver.drive(incoming.frame()).await? else { break };
        let Ok(piece) = frame.map_err(|error| causes(&error))?.into_data() else { continue };
        if body.len() + piece.len() > bytes_max {
            return Err(format!("the answer has more than {bytes_max} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
