//! A push, tried out: opened, 32 MiB sent, gone on with, watched while bytes are on their way, and
//! cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Method};
use tokio::time::Instant;
use url::Url;

use crate::access::Guest;
use crate::http::{Answer, Trouble};
use crate::location::{self, Seen};
use crate::outside::api;
use crate::report::{Report, Verdict};
use crate::upload_verdicts::{self as verdicts, Sent, Streaming};

/// As much as a small layer, and more than proxies allow by default.
pub const SIZE: u64 = 32 * 1024 * 1024;

/// Both ways of sending it together.
pub const SENT: u64 = 2 * SIZE;

/// Even a slow line has sent that much by then.
const PATIENCE: Duration = Duration::from_mins(5);

const PIECE: usize = 64 * 1024;

/// What is sent before the pause in which bytes are looked for on the other side.
const FIRST_PART: usize = 1024 * 1024;

/// For how long they are looked for, and how often.
const LOOKS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(250);

/// For how long an upload pauses on its way, also if its bytes are seen at once: whoever pushes from
/// a busy machine or over a bad line pauses, too.
const REST: Duration = Duration::from_secs(3);

/// The checks of a push, in order.
pub const CHECKS: [&str; 6] = [
    "upload.open",
    "upload.location",
    "upload.size",
    "upload.resume",
    "upload.streaming",
    "upload.cancelled",
];

/// An open upload, where its last answer said that it goes on.
struct Session(Url);

impl Guest<'_> {
    /// All of it.
    pub async fn push(&self, report: &mut Report) {
        let opened = self.open(None).await;
        if report.add("upload.open", verdicts::opened(&opened, self.repository)) {
            report.skip(&CHECKS[1..], "upload.open failed");
            return;
        }
        let Ok(opened) = opened else { return };
        let (verdict, session) = self.locate(&opened).await;
        report.add("upload.location", verdict);
        let Some(mut session) = session else {
            report.skip(&CHECKS[2..], "upload.location failed");
            return;
        };

        let sent = self.send_all(&mut session).await;
        let too_big = report.add("upload.size", verdicts::size(&sent));
        if too_big {
            report.skip(&CHECKS[3..5], "upload.size failed");
        } else {
            let resumed = self.resume(&mut session).await;
            report.add("upload.resume", resumed);
            let streaming = self.watch().await;
            report.add("upload.streaming", streaming);
        }
        let cancelled = self.cancel(&session).await;
        report.add("upload.cancelled", cancelled);
    }

    async fn open(&self, forwarded_proto: Option<&str>) -> Result<Answer, Trouble> {
        let path = format!("{}/blobs/uploads/", self.repository);
        let mut request = self.ask(Method::POST, &api(self.registry, &path));
        if let Some(proto) = forwarded_proto {
            request = request.header("x-forwarded-proto", proto);
        }
        self.http.send(request.header("content-length", "0")).await
    }

    /// Where the upload goes on. If that is another scheme, what the proxy does to the header that
    /// decides it is found out with a second upload.
    async fn locate(&self, opened: &Answer) -> (Verdict, Option<Session>) {
        let mut seen = Seen {
            location: opened.header("location"),
            with_forwarded_proto: None,
        };
        let scheme = self.registry.scheme();
        let differs = seen
            .location
            .and_then(|text| api(self.registry, "").join(text).ok())
            .is_some_and(|target| target.scheme() != scheme);
        let second = if differs {
            self.open(Some(scheme)).await.ok()
        } else {
            None
        };
        if let Some(second) = &second {
            seen.with_forwarded_proto = second.header("location");
        }
        let (verdict, there) = location::verdict(self.registry, seen);
        if let Some(second) = &second
            && let Some(session) = self.session(second)
        {
            self.cancel(&session).await;
        }
        (verdict, there.map(Session))
    }

    /// Wherever an answer leads, on the registry's own origin.
    fn session(&self, answer: &Answer) -> Option<Session> {
        let seen = Seen {
            location: answer.header("location"),
            with_forwarded_proto: None,
        };
        location::verdict(self.registry, seen).1.map(Session)
    }

    fn advance(&self, session: &mut Session, answer: &Answer) {
        if matches!(answer.status, 202 | 204)
            && let Some(next) = self.session(answer)
        {
            *session = next;
        }
    }

    /// As docker sends a layer: in pieces, without saying how many. And as `BuildKit` does, with the
    /// length said first: some limits are for one of the two. Where the connection is cut instead of
    /// an answer, the second is more often answered.
    async fn send_all(&self, session: &mut Session) -> Sent {
        let begun = Instant::now();
        let (mut answer, mut bytes) = self.send_pieces(session, false).await;
        let passed = answer.as_ref().is_ok_and(|answer| answer.status < 300);
        if let Ok(answer) = &answer {
            self.advance(session, answer);
        }
        if passed || answer.is_err() {
            let again = self.send_pieces(session, true).await;
            let refused = again.0.as_ref().is_ok_and(|answer| answer.status >= 400);
            if passed || refused {
                answer = again.0;
                bytes = if passed { bytes + again.1 } else { again.1 };
            }
        }
        if let Ok(answer) = &answer {
            self.advance(session, answer);
        }
        Sent {
            answer,
            bytes,
            took: begun.elapsed(),
        }
    }

    async fn send_pieces(
        &self,
        session: &Session,
        say_length: bool,
    ) -> (Result<Answer, Trouble>, u64) {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let pieces = SIZE / PIECE as u64;
        let body = stream::iter(0..pieces).map(move |_| {
            counter.fetch_add(PIECE as u64, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![0_u8; PIECE])
        });
        let mut request = self
            .ask(Method::PATCH, &session.0)
            .timeout(PATIENCE)
            .header("content-type", "application/octet-stream");
        if say_length {
            request = request.header("content-length", SIZE.to_string());
        }
        let answer = self.http.send(request.body(Body::wrap_stream(body))).await;
        (answer, sent.load(Ordering::Relaxed))
    }

    /// Asks how far the upload is, and sends a little more from there.
    async fn resume(&self, session: &mut Session) -> Verdict {
        let status = self.http.send(self.ask(Method::GET, &session.0)).await;
        if let Ok(answer) = &status {
            self.advance(session, answer);
        }
        let verdict = verdicts::progress(&status);
        if verdict.is_failure() {
            return verdict;
        }
        let more = self
            .ask(Method::PATCH, &session.0)
            .header("content-type", "application/octet-stream")
            .header("content-range", format!("{SENT}-{}", SENT + 15))
            .body(vec![0_u8; 16]);
        let more = self.http.send(more).await;
        if let Ok(answer) = &more {
            self.advance(session, answer);
        }
        verdicts::resumed(&more)
    }

    /// Sends the first part of a layer, waits with the rest, and looks meanwhile whether the
    /// registry has seen anything of it.
    async fn watch(&self) -> Verdict {
        let opened = match self.open(None).await {
            Ok(opened) => opened,
            Err(trouble) => return Verdict::skipped(trouble),
        };
        let Some(mut session) = self.session(&opened) else {
            return Verdict::skipped("no upload could be opened");
        };
        let place = session.0.clone();
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        let first = stream::iter((0..FIRST_PART / PIECE).map(|_| Ok(vec![0_u8; PIECE])));
        let rest = stream::once(async move {
            // Released, or given up: it ends either way.
            let _ = held.await;
            Ok::<_, std::io::Error>(vec![0_u8; 16])
        });
        let request = self
            .ask(Method::PATCH, &place)
            .timeout(PATIENCE)
            .header("content-type", "application/octet-stream")
            .body(Body::wrap_stream(first.chain(rest)));
        let begun = Instant::now();
        let sending = self.http.send(request);
        tokio::pin!(sending);
        let looking = async {
            for _ in 0..LOOKS {
                tokio::time::sleep(PAUSE).await;
                let status = self.http.send(self.ask(Method::GET, &place)).await;
                if verdicts::has_arrived(&status) {
                    let after = begun.elapsed();
                    tokio::time::sleep_until(begun + REST).await;
                    return Streaming::Arrived(after);
                }
            }
            Streaming::HeldBack(begun.elapsed())
        };
        let streaming = tokio::select! {
            early = &mut sending => Streaming::AnsweredEarly {
                answer: early.map(|answer| answer.status),
                after: begun.elapsed(),
            },
            seen = looking => {
                let _ = release.send(());
                let ended = tokio::time::timeout(Duration::from_secs(10), &mut sending).await;
                // Distribution ends an upload under the last address that it gave, and no other.
                if let Ok(Ok(answer)) = ended {
                    self.advance(&mut session, &answer);
                }
                seen
            }
        };
        self.cancel(&session).await;
        verdicts::streaming(&streaming)
    }

    /// Ends an upload; who may not delete ends it with a digest that it has not.
    async fn cancel(&self, session: &Session) -> Verdict {
        let mut deleted = self.http.send(self.ask(Method::DELETE, &session.0)).await;
        // Where a body was refused on its way, the registry may still be waiting for the rest of it.
        for _ in 0..LOOKS {
            if !deleted.as_ref().is_ok_and(|answer| answer.status == 409) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            deleted = self.http.send(self.ask(Method::DELETE, &session.0)).await;
        }
        if verdicts::is_out_of_reach(&deleted) {
            return verdicts::cancelled(&deleted, &deleted);
        }
        let gone = |answer: &Answer| matches!(answer.status, 204 | 404);
        if !deleted.as_ref().is_ok_and(gone) {
            let mut wrong = session.0.clone();
            let zeros = "0".repeat(64);
            wrong
                .query_pairs_mut()
                .append_pair("digest", &format!("sha256:{zeros}"));
            let request = self.ask(Method::PUT, &wrong).header("content-length", "0");
            let _ = self.http.send(request).await;
        }
        let after = self.http.send(self.ask(Method::GET, &session.0)).await;
        verdicts::cancelled(&deleted, &after)
    }
}
