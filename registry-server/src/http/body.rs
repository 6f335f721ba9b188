//! Bodies: what clients send, with an eye on their pace, and what they get.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use crate::registry::Interrupted;

/// A request's body. Ends with an error if the client vanishes or pauses for too long.
pub struct Incoming {
    payload: Payload,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Incoming {
    pub fn new(payload: Payload, patience: Duration) -> Self {
        Self {
            payload,
            patience,
            deadline: Box::pin(tokio::time::sleep(patience)),
        }
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, Interrupted>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.payload).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                let deadline = Instant::now() + self.patience;
                self.deadline.as_mut().reset(deadline);
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(interrupted(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.deadline.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(Interrupted::TooSlow))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

fn interrupted(error: &PayloadError) -> Interrupted {
    match error {
        PayloadError::EncodingCorrupted | PayloadError::UnknownLength | PayloadError::Overflow => {
            Interrupted::Malformed
        }
        _ => Interrupted::Disconnected,
    }
}

/// The body of an answer to `HEAD`: has a length, and no bytes.
pub struct Absent(pub u64);

impl MessageBody for Absent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
