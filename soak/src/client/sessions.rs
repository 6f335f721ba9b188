//! Upload sessions: in pieces, broken off, gone on with, raced for, cancelled.

use std::time::{Duration, Instant};

use acceptance::{Answer, Blob};
use bytes::Bytes;
use futures_util::stream;
use rand::RngExt as _;
use reqwest::{Body, Method};

use super::Client;
use super::requests::{Access, Reply};
use crate::model::{Key, Kind, Session, SessionId};
use crate::register::Outcome;
use crate::weather::Tick;

/// How long a client asks again before it leaves a session that is busy for later.
const BUSY: Duration = Duration::from_secs(3);

/// Of a piece. The half of it that arrives before a client vanishes is more than one byte, which
/// `Range: 0-0` could not tell from none.
const SMALLEST: usize = 16;

impl Client {
    /// Opens one, sends a part, and goes away.
    pub(super) async fn leave_session(&mut self, repository: &str) {
        let blob = self.new_blob();
        let Some(id) = self.open_session(repository, &blob).await else {
            return;
        };
        let part = self.random.random_range(0..=blob.bytes.len());
        if part >= SMALLEST {
            let breaks_off = self.random.random_bool(0.2);
            self.send_piece(id, 0, part, breaks_off).await;
        }
    }

    /// Goes on where one of its sessions stands, to the end perhaps.
    pub(super) async fn resume_session(&mut self) {
        let own = self.world.model().sessions_of(self.number);
        let Some(id) = self.choose(&own) else {
            return;
        };
        self.send_some_pieces(id).await;
        if self.random.random_bool(0.7) {
            self.finish_session(id).await;
        }
    }

    /// Up to four of them, with breaks.
    pub(super) async fn send_some_pieces(&mut self, id: SessionId) {
        for _ in 0..4 {
            let Some(offset) = self.ask_for_offset(id).await else {
                return;
            };
            let Some(session) = self.world.model().session(id) else {
                return;
            };
            let left = session.blob.bytes.len() - offset;
            if left == 0 || self.random.random_bool(0.3) {
                return;
            }
            let piece = self.random.random_range(SMALLEST.min(left)..=left);
            let breaks_off = self.random.random_bool(0.2);
            self.send_piece(id, offset, offset + piece, breaks_off)
                .await;
        }
    }

    pub(super) async fn open_session(
        &mut self,
        repository: &str,
        blob: &Blob,
    ) -> Option<SessionId> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let touched = (self.world.server_time(), self.world.tick());
        let reply = self
            .ask(repository, Access::Write, |http| {
                http.call(Method::POST, &path)
            })
            .await;
        let Reply::Answer(answer) = reply else {
            return None;
        };
        if answer.status != 202 {
            self.finding("no session can be opened", answer);
            return None;
        }
        self.world.acknowledged();
        let session = Session {
            owner: self.number,
            repository: repository.to_owned(),
            location: answer.header("location").to_owned(),
            blob: blob.clone(),
            acknowledged: 0,
            possible: 0,
            ending: false,
            touched,
            broken: None,
            power_was_cut: false,
        };
        let mut model = self.world.model();
        model.know_blob(blob);
        Some(model.open(session))
    }

    /// Where it stands. `None` if it is gone, or if nobody can tell now.
    pub async fn ask_for_offset(&mut self, id: SessionId) -> Option<usize> {
        let deadline = Instant::now() + BUSY;
        loop {
            let session = self.world.model().session(id)?;
            let reply = self
                .ask(&session.repository, Access::Read, |http| {
                    http.get(&session.location)
                })
                .await;
            let Reply::Answer(answer) = reply else {
                return None;
            };
            match answer.status.as_u16() {
                204 => return self.found_at(id, &session, &answer),
                409 if Instant::now() < deadline => {
                    self.expect_busy(&session, &answer);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                409 => return None,
                _ => {
                    self.expect_gone(id, &session, &answer);
                    return None;
                }
            }
        }
    }

    fn found_at(&self, id: SessionId, session: &Session, answer: &Answer) -> Option<usize> {
        self.checked();
        let offset = offset(answer)?;
        if (session.acknowledged..=session.possible).contains(&offset) {
            self.world
                .model()
                .change_session(id, |session| session.stands_at(offset));
            return Some(offset);
        }
        let Session {
            acknowledged,
            possible,
            ..
        } = session;
        self.finding(
            "an upload does not stand where it was acknowledged",
            format!("at {offset}, not between {acknowledged} and {possible}\n{answer}"),
        );
        self.world.model().close(id);
        None
    }

    /// Sends these bytes, or the first half of them and then breaks off.
    async fn send_piece(&mut self, id: SessionId, start: usize, end: usize, breaks_off: bool) {
        let Some(session) = self.world.model().session(id) else {
            return;
        };
        let touched = self.touch(id, end);
        let piece = session.blob.bytes.slice(start..end);
        if breaks_off {
            self.break_off(id, &session, start, piece).await;
            return;
        }
        // What broke off before may still be on its way: it must not come in between.
        let named = self.random.random_bool(0.5) || session.may_be_busy();
        let reply = self
            .ask(&session.repository, Access::Write, |http| {
                let call = http
                    .call(Method::PATCH, &session.location)
                    .header("content-type", "application/octet-stream");
                let call = if named {
                    call.header("content-range", &format!("{start}-{}", end - 1))
                } else {
                    call
                };
                call.body(piece.clone())
            })
            .await;
        self.taken(id, &session, touched, end, reply);
    }

    /// Reads what became of a `PATCH`.
    pub(super) fn taken(
        &self,
        id: SessionId,
        session: &Session,
        touched: (f64, Tick),
        end: usize,
        reply: Reply,
    ) {
        let Reply::Answer(answer) = reply else {
            self.broke(id);
            return;
        };
        match answer.status.as_u16() {
            202 => {
                self.world.acknowledged();
                if offset(&answer) != Some(end) {
                    self.finding("a chunk is acknowledged at another offset", &answer);
                }
                let location = answer.header("location").to_owned();
                self.world.model().change_session(id, |session| {
                    session.stands_at(end);
                    session.touched = touched;
                    session.location = location;
                });
            }
            409 => self.expect_busy(session, &answer),
            _ => self.expect_gone(id, session, &answer),
        }
    }

    /// A `PATCH` whose client vanishes.
    async fn break_off(&self, id: SessionId, session: &Session, start: usize, piece: Bytes) {
        let range = format!("{start}-{}", start + piece.len() - 1);
        let half = piece.slice(..piece.len() / 2);
        let parts = [Ok(half), Err(std::io::Error::other("the client vanishes"))];
        let bearer = self.bearers.iter().find(|((_, scope), _)| {
            *scope == format!("repository:{}:pull,push,delete", session.repository)
        });
        let Some((_, bearer)) = bearer else {
            return;
        };
        let call = self
            .http
            .call(Method::PATCH, &session.location)
            .header("content-type", "application/octet-stream")
            .header("content-range", &range)
            .body(Body::wrap_stream(stream::iter(parts)))
            .bearer(bearer);
        // Whatever is answered is answered to nobody.
        let _ = call.try_send().await;
        self.broke(id);
    }

    /// Closes it with the bytes that are missing. Whoever gets no answer tries once more.
    pub async fn finish_session(&mut self, id: SessionId) {
        let Some(session) = self.world.model().session(id) else {
            return;
        };
        let key = Key::new(&session.repository, Kind::Blob, &session.blob.digest);
        for _ in 0..2 {
            let Some(offset) = self.ask_for_offset(id).await else {
                return;
            };
            let Some(session) = self.world.model().session(id) else {
                return;
            };
            self.touch(id, session.blob.bytes.len());
            self.world
                .model()
                .change_session(id, |session| session.ending = true);
            let write = self.world.begin(&key, Some(session.blob.digest.clone()));
            let reply = self.put(&session, offset).await;
            let Reply::Answer(answer) = reply else {
                self.world.end(&key, write, Outcome::Unknown);
                self.broke(id);
                self.world.weather.wait_until_up().await;
                continue;
            };
            match answer.status.as_u16() {
                201 => {
                    self.world.end(&key, write, Outcome::Acknowledged);
                    self.world.acknowledged();
                    self.world.model().close(id);
                    if self.random.random_bool(0.1) {
                        self.repeat_put(&session, offset).await;
                    }
                }
                409 => {
                    self.world.end(&key, write, Outcome::Unknown);
                    self.expect_busy(&session, &answer);
                }
                _ => {
                    self.world.end(&key, write, Outcome::Unknown);
                    self.expect_gone(id, &session, &answer);
                }
            }
            return;
        }
    }

    async fn put(&mut self, session: &Session, offset: usize) -> Reply {
        let separator = if session.location.contains('?') {
            '&'
        } else {
            '?'
        };
        let location = format!(
            "{}{separator}digest={}",
            session.location, session.blob.digest
        );
        let rest = session.blob.bytes.slice(offset..);
        let end = session.blob.bytes.len();
        let named = session.may_be_busy() && !rest.is_empty();
        self.ask(&session.repository, Access::Write, |http| {
            let call = http
                .call(Method::PUT, &location)
                .header("content-type", "application/octet-stream");
            let call = if named {
                call.header("content-range", &format!("{offset}-{}", end - 1))
            } else {
                call
            };
            call.body(rest.clone())
        })
        .await
    }

    /// As by a client that missed the answer. What is there stays there.
    async fn repeat_put(&mut self, session: &Session, offset: usize) {
        if let Reply::Answer(answer) = self.put(session, offset).await
            && ![201, 404].contains(&answer.status.as_u16())
        {
            self.finding("a repeated PUT is answered with something else", answer);
        }
        let key = Key::new(&session.repository, Kind::Blob, &session.blob.digest);
        self.look_at(&key).await;
    }

    pub(super) async fn cancel_session(&mut self) {
        let own = self.world.model().sessions_of(self.number);
        let Some(id) = self.choose(&own) else {
            return;
        };
        let Some(session) = self.world.model().session(id) else {
            return;
        };
        self.world
            .model()
            .change_session(id, |session| session.ending = true);
        let reply = self
            .ask(&session.repository, Access::Write, |http| {
                http.call(Method::DELETE, &session.location)
            })
            .await;
        let Reply::Answer(answer) = reply else {
            self.broke(id);
            return;
        };
        match answer.status.as_u16() {
            204 => {
                self.world.acknowledged();
                self.world.model().close(id);
                let status = self
                    .ask(&session.repository, Access::Read, |http| {
                        http.get(&session.location)
                    })
                    .await;
                if let Reply::Answer(answer) = status
                    && answer.status != 404
                {
                    self.finding("a cancelled upload is still there", answer);
                }
            }
            409 => self.expect_busy(&session, &answer),
            _ => self.expect_gone(id, &session, &answer),
        }
    }

    /// Goes on with many that nobody has touched for a while, and leaves as many behind: for a sweep
    /// that is to decide at that moment which of them nobody goes on with.
    pub async fn rush(&mut self, idle: Duration) {
        const OPEN: usize = 30;
        const LENGTH: usize = 100 * SMALLEST;
        let own = self.world.model().sessions_of(self.number);
        for id in &own {
            let Some(session) = self.world.model().session(*id) else {
                continue;
            };
            if self.world.server_time() - session.touched.0 < idle.as_secs_f64() {
                continue;
            }
            // Spread over the time that a sweep takes to start and to look around.
            let pause = Duration::from_millis(self.random.random_range(0..80));
            tokio::time::sleep(pause).await;
            if let Some(offset) = self.ask_for_offset(*id).await
                && offset < LENGTH
            {
                let end = LENGTH.min(offset + SMALLEST);
                self.send_piece(*id, offset, end, false).await;
            }
        }
        let repository = format!("{}/rush", self.person.name);
        for _ in own.len()..OPEN {
            let blob = Blob::new(vec![0; LENGTH]);
            if let Some(id) = self.open_session(&repository, &blob).await {
                self.send_piece(id, 0, SMALLEST, false).await;
            }
        }
    }

    /// While nobody else is at work. One that may have ended is brought to its end.
    pub async fn look_at_session(&mut self, id: SessionId) {
        if self.ask_for_offset(id).await.is_none() {
            return;
        }
        let session = self.world.model().session(id);
        if session.is_some_and(|session| session.ending) {
            self.finish_session(id).await;
        }
    }

    /// Whether blobs and credentials are taken.
    pub async fn can_write(&mut self) -> bool {
        let repository = format!("{}/probe", self.person.name);
        let blob = self.new_blob();
        let Some(id) = self.open_session(&repository, &blob).await else {
            return false;
        };
        self.finish_session(id).await;
        let key = Key::new(&repository, Kind::Blob, &blob.digest);
        self.world.holds(&key) && self.make_personal_token().await
    }

    /// Before a request that changes it: it may have bytes up to `end` from now on. What is to be
    /// [`Self::taken`] has been touched then.
    pub(super) fn touch(&self, id: SessionId, end: usize) -> (f64, Tick) {
        self.world.model().change_session(id, |session| {
            session.possible = session.possible.max(end);
        });
        (self.world.server_time(), self.world.tick())
    }

    /// Whoever wrote to it may hold it for a while.
    pub(super) fn broke(&self, id: SessionId) {
        self.world
            .model()
            .change_session(id, |session| session.broken = Some(Instant::now()));
    }

    fn expect_busy(&self, session: &Session, answer: &Answer) {
        if !session.may_be_busy() {
            self.finding("an upload is busy though nobody writes to it", answer);
        }
    }

    /// It is not there any more, which somebody must have ended.
    pub(super) fn expect_gone(&self, id: SessionId, session: &Session, answer: &Answer) {
        let now = self.world.server_time();
        let may_be_gone = self.world.model().may_be_gone(session, now);
        let moved_on = answer.status == 416 && (session.ending || session.may_be_busy());
        if !(answer.status == 404 && may_be_gone || moved_on) {
            let what = if answer.status == 404 {
                "an open upload is gone"
            } else {
                "an upload is answered with something else"
            };
            self.finding(what, format!("{answer}\n{}", describe(session)));
        }
        if !moved_on {
            self.world.model().close(id);
        }
    }
}

fn describe(session: &Session) -> String {
    format!(
        "{} of {} bytes acknowledged, {} possible, {}",
        session.acknowledged,
        session.blob.bytes.len(),
        session.possible,
        if session.ending {
            "it may have ended"
        } else {
            "nobody ended it"
        }
    )
}

/// From `Range: 0-<last>`; `0-0` is nothing here.
fn offset(answer: &Answer) -> Option<usize> {
    let (_, last) = answer.header("range").split_once('-')?;
    match last.parse::<usize>().ok()? {
        0 => Some(0),
        last => Some(last + 1),
    }
}
