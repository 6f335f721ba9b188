//! Two at once on one upload.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;

use super::Client;
use super::requests::{Access, Reply};
use crate::model::{Key, Kind};

impl Client {
    /// Two send the same bytes to one session at once: one of them is taken.
    pub(super) async fn duel(&mut self, repository: &str) {
        let blob = self.new_blob();
        let Some(id) = self.open_session(repository, &blob).await else {
            return;
        };
        let Some(session) = self.world.model().session(id) else {
            return;
        };
        let end = blob.bytes.len().div_ceil(2);
        let touched = self.touch(id, end);
        let mut other = Self {
            world: self.world.clone(),
            person: self.person.clone(),
            people: self.people.clone(),
            http: self.http.clone(),
            random: StdRng::seed_from_u64(self.random.random()),
            bearers: self.bearers.clone(),
            place: self.place.clone(),
            ..*self
        };
        let patch = async |client: &mut Self| {
            let reply = client
                .ask(repository, Access::Write, |http| {
                    http.call(Method::PATCH, &session.location)
                        .header("content-type", "application/octet-stream")
                        .header("content-range", &format!("0-{}", end - 1))
                        .body(blob.bytes.slice(..end))
                })
                .await;
            match reply {
                Reply::Answer(answer) => Some(answer),
                Reply::Unknown => None,
            }
        };
        let (one, two) = tokio::join!(patch(self), patch(&mut other));
        let answers: Vec<_> = [one, two].into_iter().flatten().collect();
        let taken: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 202)
            .collect();
        self.checked();
        if taken.len() == 2 {
            self.finding("the same bytes are taken twice", taken[0]);
        }
        if answers.len() < 2 {
            self.broke(id);
        }
        for answer in answers {
            match answer.status.as_u16() {
                202 => {
                    self.taken(id, &session, touched, end, Reply::Answer(answer));
                }
                409 | 416 => {}
                _ => self.expect_gone(id, &session, &answer),
            }
        }
        self.finish_session(id).await;
        self.look_at(&Key::new(repository, Kind::Blob, &blob.digest))
            .await;
    }
}
