//! Bodies: what clients send, with an eye on their pace, and what they get.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use futures_util::Stream;
use service::request::RequestContext;
use tokio::time::{Instant, Sleep};

use crate::registry::Interrupted;

/// A request's body. Ends with an error if the client vanishes or pauses for too long.
pub struct Incoming {
    payload: Payload,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    context: RequestContext,
}

impl Incoming {
    pub fn new(payload: Payload, patience: Duration, context: RequestContext) -> Self {
        Self {
            payload,
            patience,
            deadline: Box::pin(tokio::time::sleep(patience)),
            context,
        }
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, Interrupted>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.payload).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.context.receive(bytes.len());
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

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::test::TestRequest;
    use futures_util::{StreamExt as _, stream};

    use super::*;

    async fn incoming(
        items: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
        patience: Duration,
    ) -> Incoming {
        let request = TestRequest::default().to_http_request();
        let items: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(items);
        let mut payload = actix_web::dev::Payload::Stream { payload: items };
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        Incoming::new(payload, patience, RequestContext::of(&request))
    }

    #[actix_web::test]
    async fn whoever_pauses_too_long_is_given_up() {
        let patience = Duration::from_millis(50);
        let items = stream::iter([Ok(Bytes::from("he"))]).chain(stream::pending());
        let mut incoming = incoming(items, patience).await;
        assert_eq!(incoming.next().await, Some(Ok(Bytes::from("he"))));
        let since = Instant::now();
        assert_eq!(incoming.next().await, Some(Err(Interrupted::TooSlow)));
        assert!(since.elapsed() >= patience);
    }

    #[actix_web::test]
    async fn each_piece_buys_time() {
        let items = stream::unfold(0, |count| async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            (count < 5).then(|| (Ok(Bytes::from("x")), count + 1))
        });
        let mut incoming = incoming(items, Duration::from_millis(120)).await;
        let mut pieces = 0;
        while let Some(piece) = incoming.next().await {
            piece.unwrap();
            pieces += 1;
        }
        assert_eq!(pieces, 5);
    }

    #[actix_web::test]
    async fn a_vanished_client_and_a_garbled_body_are_told_apart() {
        for (error, expected) in [
            (PayloadError::Incomplete(None), Interrupted::Disconnected),
            (PayloadError::EncodingCorrupted, Interrupted::Malformed),
        ] {
            let items = stream::iter([Err(error)]);
            let mut incoming = incoming(items, Duration::from_secs(5)).await;
            assert_eq!(incoming.next().await, Some(Err(expected)));
        }
    }

    #[test]
    fn an_answer_to_head_has_a_length_and_no_bytes() {
        assert_eq!(Absent(7).size(), BodySize::Sized(7));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let body = std::pin::pin!(Absent(7));
        assert!(matches!(body.poll_next(&mut context), Poll::Ready(None)));
    }
}
