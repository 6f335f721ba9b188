//! Blobs: pushed by every way there is, mounted, deleted.

use acceptance::Blob;
use rand::{Rng as _, RngExt as _};
use reqwest::Method;

use super::Client;
use super::requests::{Access, Reply};
use crate::model::{Key, Kind};
use crate::register::Outcome;

impl Client {
    /// Bytes nobody has seen before; most are small, as configurations are, and a few large.
    pub(super) fn new_blob(&mut self) -> Blob {
        let length = match self.random.random_range(0..20) {
            0..12 => self.random.random_range(64..4_000),
            12..18 => self.random.random_range(4_000..100_000),
            18 => self.random.random_range(100_000..600_000),
            _ => self.random.random_range(600_000..2_500_000),
        };
        let mut bytes = vec![0; length];
        self.random.fill_bytes(&mut bytes);
        Blob::new(bytes)
    }

    /// Pushes it in one of three ways. False if it is not certain to be there.
    pub(super) async fn push_blob(&mut self, repository: &str, blob: &Blob) -> bool {
        match self.random.random_range(0..3) {
            0 => self.post_blob(repository, blob).await,
            1 => {
                if let Some(id) = self.open_session(repository, blob).await {
                    self.finish_session(id).await;
                }
            }
            _ => {
                if let Some(id) = self.open_session(repository, blob).await {
                    self.send_some_pieces(id).await;
                    self.finish_session(id).await;
                }
            }
        }
        let key = Key::new(repository, Kind::Blob, &blob.digest);
        self.world.holds(&key)
    }

    async fn post_blob(&mut self, repository: &str, blob: &Blob) {
        self.world.model().know_blob(blob);
        let key = Key::new(repository, Kind::Blob, &blob.digest);
        let write = self.world.begin(&key, Some(blob.digest.clone()));
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", blob.digest);
        let reply = self
            .ask(repository, Access::Write, |http| {
                http.call(Method::POST, &path)
                    .header("content-type", "application/octet-stream")
                    .body(blob.bytes.clone())
            })
            .await;
        let outcome = match reply {
            Reply::Answer(answer) if answer.status == 201 => {
                self.world.acknowledged();
                Outcome::Acknowledged
            }
            Reply::Answer(answer) => {
                self.finding("a blob is not taken", answer);
                Outcome::Unknown
            }
            Reply::Unknown => Outcome::Unknown,
        };
        self.world.end(&key, write, outcome);
    }

    /// Shows a blob of the one repository in the other.
    pub(super) async fn mount(&mut self) {
        let (from, to) = (
            format!("{}/one", self.person.name),
            format!("{}/two", self.person.name),
        );
        let now = self.world.tick();
        let names = self.world.model().names(&from, Kind::Blob);
        let Some(digest) = self.choose(&names) else {
            return;
        };
        let (source, target) = (
            Key::new(&from, Kind::Blob, &digest),
            Key::new(&to, Kind::Blob, &digest),
        );
        let must_be_there = self.world.model().holds(&source, now);
        let write = self.world.begin(&target, Some(digest.clone()));
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        let reply = self
            .ask_from(&to, &[&from], Access::Write, |http| {
                http.call(Method::POST, &path)
            })
            .await;
        let outcome = match reply {
            Reply::Unknown => Outcome::Unknown,
            Reply::Answer(answer) => match answer.status.as_u16() {
                201 => {
                    self.world.acknowledged();
                    Outcome::Acknowledged
                }
                // To be pushed, by whoever wants it. The session is left for a sweep.
                202 if !must_be_there => Outcome::Refused,
                202 => {
                    self.finding("what is there cannot be mounted", answer);
                    Outcome::Refused
                }
                _ => {
                    self.finding("a mount is answered with something else", answer);
                    Outcome::Unknown
                }
            },
        };
        self.world.end(&target, write, outcome);
    }

    pub(super) async fn delete_blob(&mut self, repository: &str) {
        let now = self.world.tick();
        let names = self.world.model().names(repository, Kind::Blob);
        let Some(digest) = self.choose(&names) else {
            return;
        };
        let key = Key::new(repository, Kind::Blob, &digest);
        let (needed, may_be_needed) = self.world.model().needed(repository, &digest, now);
        let write = self.world.begin(&key, None);
        let path = format!("/v2/{repository}/blobs/{digest}");
        let reply = self
            .ask(repository, Access::Write, |http| {
                http.call(Method::DELETE, &path)
            })
            .await;
        let outcome = match reply {
            Reply::Unknown => Outcome::Unknown,
            Reply::Answer(answer) => match answer.status.as_u16() {
                202 if !needed => {
                    self.world.acknowledged();
                    Outcome::Acknowledged
                }
                202 => {
                    self.finding("a blob that a manifest needs is deleted", answer);
                    Outcome::Acknowledged
                }
                409 if may_be_needed => Outcome::Refused,
                404 => {
                    self.compare(&key, &None, now, &answer);
                    Outcome::Refused
                }
                _ => {
                    self.finding("a deletion is answered with something else", answer);
                    Outcome::Unknown
                }
            },
        };
        self.world.end(&key, write, outcome);
    }
}
