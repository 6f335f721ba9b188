//! Reading one thing, and comparing it with what was promised.

use acceptance::content::media;
use acceptance::{Answer, Blob};
use rand::RngExt as _;
use reqwest::{Method, StatusCode};

use super::requests::{Access, Reply, told};
use super::{Client, TAGS};
use crate::model::{Key, Kind};
use crate::register::Value;

impl Client {
    /// Looks at something. `None` if the servers could not be asked.
    pub async fn look_at(&mut self, key: &Key) -> Option<Value> {
        let began = self.world.tick();
        let reply = match key.kind {
            Kind::IdentityToken | Kind::PersonalToken => return self.look_at_credential(key).await,
            Kind::Blob => {
                let path = format!("/v2/{}/blobs/{}", key.repository, key.name);
                self.ask(&key.repository, Access::Read, |http| http.get(&path))
                    .await
            }
            Kind::Manifest | Kind::Tag => {
                let path = format!("/v2/{}/manifests/{}", key.repository, key.name);
                self.ask(&key.repository, Access::Read, |http| {
                    http.get(&path).header("accept", media::ALL_MANIFESTS)
                })
                .await
            }
        };
        let Reply::Answer(answer) = reply else {
            return None;
        };
        let value = match answer.status {
            StatusCode::NOT_FOUND => None,
            StatusCode::OK => Some(self.content(key, &answer)?),
            _ => {
                self.finding("a pull is answered with something else", &answer);
                return None;
            }
        };
        self.compare(key, &value, began, &answer);
        Some(value)
    }

    /// What was found, by its digest; its bytes must be those that were pushed.
    fn content(&self, key: &Key, answer: &Answer) -> Option<String> {
        let digest = Blob::new(answer.body.clone()).digest;
        let known = match key.kind {
            Kind::Tag => true,
            _ => digest == key.name,
        };
        if !known {
            self.finding("content comes back changed", told(answer));
            return None;
        }
        Some(digest)
    }

    pub(super) fn compare(
        &self,
        key: &Key,
        value: &Value,
        began: crate::weather::Tick,
        answer: &Answer,
    ) {
        self.checked();
        let allowed = self.world.model().allowed(key, began);
        if allowed.contains(value) {
            return;
        }
        let what = match (value, key.kind) {
            (None, kind) => format!("acknowledged and not found: {kind:?}"),
            (Some(_), Kind::Tag) => "a tag points at what was replaced".to_owned(),
            (Some(_), kind) => format!("deleted and still there: {kind:?}"),
        };
        self.finding(
            &what,
            format!(
                "{} in {}\nfound {value:?}, allowed {allowed:?}\n{}",
                key.name,
                key.repository,
                told(answer)
            ),
        );
    }

    /// An image as a client pulls it.
    pub(super) async fn pull(&mut self, repository: &str) {
        let tag = TAGS[self.random.random_range(0..TAGS.len())];
        let key = Key::new(repository, Kind::Tag, tag);
        let Some(Some(digest)) = self.look_at(&key).await else {
            return;
        };
        let manifest = self.world.model().manifest(&digest).cloned();
        let Some((_, blobs)) = manifest else {
            self.finding("a tag points at what nobody pushed", digest);
            return;
        };
        for blob in blobs {
            self.look_at(&Key::new(repository, Kind::Blob, &blob)).await;
        }
    }

    /// `HEAD`, or a piece of it.
    pub(super) async fn look_at_some_blob(&mut self, repository: &str) {
        let names = self.world.model().names(repository, Kind::Blob);
        let Some(name) = self.choose(&names) else {
            return;
        };
        let key = Key::new(repository, Kind::Blob, &name);
        let blob = self.world.model().blob(&name);
        let path = format!("/v2/{repository}/blobs/{name}");
        let began = self.world.tick();
        let range = self.random.random_bool(0.5).then(|| {
            let start = self.random.random_range(0..blob.bytes.len());
            (start, self.random.random_range(start..blob.bytes.len()))
        });
        let reply = match range {
            None => {
                self.ask(repository, Access::Read, |http| {
                    http.call(Method::HEAD, &path)
                })
                .await
            }
            Some((first, last)) => {
                let range = format!("bytes={first}-{last}");
                self.ask(repository, Access::Read, |http| {
                    http.get(&path).header("range", &range)
                })
                .await
            }
        };
        let Reply::Answer(answer) = reply else {
            return;
        };
        let value = match answer.status {
            StatusCode::NOT_FOUND => None,
            StatusCode::OK => {
                let length = answer.header("content-length");
                if length != blob.bytes.len().to_string() {
                    self.finding("HEAD tells another length", &answer);
                }
                Some(name)
            }
            StatusCode::PARTIAL_CONTENT => {
                if range.is_none_or(|(first, last)| answer.body != blob.bytes[first..=last]) {
                    self.finding("a piece of a blob comes back changed", told(&answer));
                }
                Some(name)
            }
            _ => {
                self.finding("a pull is answered with something else", &answer);
                return;
            }
        };
        self.compare(&key, &value, began, &answer);
    }

    pub(super) async fn list_tags(&mut self, repository: &str) {
        let path = format!("/v2/{repository}/tags/list");
        let began = self.world.tick();
        let reply = self
            .ask(repository, Access::Read, |http| http.get(&path))
            .await;
        let Reply::Answer(answer) = reply else {
            return;
        };
        let listed = match answer.status {
            // A repository that nothing was pushed to is unknown.
            StatusCode::NOT_FOUND => Vec::new(),
            StatusCode::OK => acceptance::client::strings(&answer.json()["tags"]),
            _ => {
                self.finding("a list is answered with something else", &answer);
                return;
            }
        };
        let tags = self.world.model().names(repository, Kind::Tag);
        for tag in tags {
            let key = Key::new(repository, Kind::Tag, &tag);
            let allowed = self.world.model().allowed(&key, began);
            self.checked();
            let possible = if listed.contains(&tag) {
                allowed.iter().any(Option::is_some)
            } else {
                allowed.contains(&None)
            };
            if !possible {
                self.finding(
                    "a list of tags is not what was pushed",
                    format!("{tag}\n{answer}"),
                );
            }
        }
    }
}
