//! The name of one request, shown to the client and in every log line about it.
//!
//! It travels in a thread-local while the request's future is polled, not in a tracing span: a span
//! per request costs more than the rest of the middleware together.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use actix_web::http::header::{HeaderName, HeaderValue};

/// The header a request id comes and goes in.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are somebody's mistake; ids are kept in logs and audit rows.
const MAX_LENGTH: usize = 128;

thread_local! {
    static CURRENT: RefCell<Option<RequestId>> = const { RefCell::new(None) };
}

/// 1 to 128 visible ASCII characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A new id: a random UUID in text form.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let uuid = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let text = uuid.hyphenated().encode_lower(&mut text);
        // Hexadecimal digits and hyphens are always a header value.
        Self(
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unavailable")),
        )
    }

    /// Somebody else's id, if it is one.
    #[must_use]
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let valid =
            (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        valid.then(|| Self(value.clone()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The request that is being worked on here, if any.
#[must_use]
pub fn current() -> Option<RequestId> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `future` on behalf of a request; for work that a handler spawns elsewhere.
pub async fn scope<F: Future>(id: RequestId, future: F) -> F::Output {
    let mut scope = Scope(Some(id));
    let mut future = pin!(future);
    std::future::poll_fn(|cx| scope.poll(future.as_mut(), cx)).await
}

/// Carries the id while it is not the current one.
pub(crate) struct Scope(Option<RequestId>);

impl Scope {
    pub(crate) fn new(id: RequestId) -> Self {
        Self(Some(id))
    }

    pub(crate) fn poll<F: Future>(
        &mut self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.enter(|| future.poll(cx))
    }

    /// Swaps the id in and, also on a panic, out again.
    pub(crate) fn enter<R>(&mut self, run: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a mut Option<RequestId>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                swap(self.0);
            }
        }
        fn swap(id: &mut Option<RequestId>) {
            // `try_with`: a future may be dropped while its thread goes down.
            let _ = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), id));
        }
        swap(&mut self.0);
        let _restore = Restore(&mut self.0);
        run()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_ids_differ_and_are_valid() {
        let (a, b) = (RequestId::generate(), RequestId::generate());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 36);
        assert_eq!(RequestId::from_header(&a.header_value()), Some(a));
    }

    #[test]
    fn foreign_ids_are_bounded_visible_ascii() {
        let check =
            |text: &[u8]| RequestId::from_header(&HeaderValue::from_bytes(text).unwrap()).is_some();
        assert!(check(b"0"));
        assert!(check(&[b'x'; 128]));
        assert!(!check(&[b'x'; 129]));
        assert!(!check(b""));
        assert!(!check(b"two words"));
        assert!(!check(b"tab\there"));
        assert!(!check("ümlaut".as_bytes()));
    }

    proptest! {
        #[test]
        fn an_accepted_id_is_printed_as_it_came(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes)
                && let Some(id) = RequestId::from_header(&value)
            {
                prop_assert_eq!(id.as_str().as_bytes(), &bytes[..]);
                prop_assert!(bytes.iter().all(u8::is_ascii_graphic));
            }
        }
    }

    #[tokio::test]
    async fn the_current_id_follows_the_future() {
        assert_eq!(current(), None);
        let (a, b) = (RequestId::generate(), RequestId::generate());
        let task = |id: RequestId| {
            scope(id.clone(), async move {
                for _ in 0..3 {
                    assert_eq!(current().as_ref(), Some(&id));
                    tokio::task::yield_now().await;
                }
            })
        };
        tokio::join!(task(a), task(b));
        assert_eq!(current(), None);
    }

    #[test]
    fn a_panic_leaves_no_id_behind() {
        let mut scope = Scope::new(RequestId::generate());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            scope.enter(|| panic!("in the middle of it"));
        }));
        assert!(result.is_err());
        assert_eq!(current(), None);
    }
}
