//! Manifests and tags.

use acceptance::content::media;
use acceptance::{Blob, Manifest};
use rand::RngExt as _;
use reqwest::Method;
use serde_json::json;

use super::requests::{Access, Reply};
use super::{Client, TAGS};
use crate::model::{Key, Kind};
use crate::register::Outcome;

impl Client {
    /// An image of a few layers, some of which may be there already, under a tag that may point
    /// elsewhere.
    pub(super) async fn push_image(&mut self, repository: &str) {
        let mut layers = Vec::new();
        for _ in 0..self.random.random_range(1..=3) {
            let now = self.world.tick();
            let there = self.world.model().held(repository, Kind::Blob, now);
            let blob = match self.choose(&there) {
                Some(digest) if self.random.random_bool(0.3) => self.world.model().blob(&digest),
                _ => self.new_blob(),
            };
            let key = Key::new(repository, Kind::Blob, &blob.digest);
            if !self.world.holds(&key) && !self.push_blob(repository, &blob).await {
                return;
            }
            layers.push(blob);
        }
        let manifest = self.manifest_of(&layers);
        if self.random.random_bool(0.1) {
            self.put_manifest(repository, &manifest, &layers, None)
                .await;
        } else {
            let tag = TAGS[self.random.random_range(0..TAGS.len())];
            self.put_manifest(repository, &manifest, &layers, Some(tag))
                .await;
        }
    }

    fn manifest_of(&mut self, layers: &[Blob]) -> Manifest {
        let descriptors: Vec<_> = layers
            .iter()
            .map(|layer| layer.descriptor(media::OCI_LAYER))
            .collect();
        Manifest::from_json(&json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": layers[0].descriptor(media::OCI_CONFIG),
            "layers": descriptors,
            "annotations": {"name": self.unused_name()},
        }))
    }

    /// Under a tag, or by its digest.
    async fn put_manifest(
        &mut self,
        repository: &str,
        manifest: &Manifest,
        layers: &[Blob],
        tag: Option<&str>,
    ) {
        let digests: Vec<String> = layers.iter().map(|layer| layer.digest.clone()).collect();
        self.world.model().know_manifest(manifest, &digests);
        let mut keys = vec![Key::new(repository, Kind::Manifest, &manifest.digest)];
        keys.extend(tag.map(|tag| Key::new(repository, Kind::Tag, tag)));
        let writes: Vec<_> = keys
            .iter()
            .map(|key| self.world.begin(key, Some(manifest.digest.clone())))
            .collect();
        let reference = tag.unwrap_or(&manifest.digest);
        let path = format!("/v2/{repository}/manifests/{reference}");
        let reply = self
            .ask(repository, Access::Write, |http| {
                http.call(Method::PUT, &path)
                    .header("content-type", &manifest.media_type)
                    .body(manifest.bytes.clone())
            })
            .await;
        let outcome = match reply {
            Reply::Unknown => Outcome::Unknown,
            Reply::Answer(answer) if answer.status == 201 => {
                self.world.acknowledged();
                Outcome::Acknowledged
            }
            Reply::Answer(answer) => {
                self.finding("a manifest whose blobs are there is not taken", answer);
                Outcome::Unknown
            }
        };
        for (key, write) in keys.iter().zip(writes) {
            self.world.end(key, write, outcome);
        }
    }

    pub(super) async fn delete_tag(&mut self, repository: &str) {
        let tag = TAGS[self.random.random_range(0..TAGS.len())];
        self.delete_this_tag(repository, tag).await;
    }

    async fn delete_this_tag(&mut self, repository: &str, tag: &str) {
        let key = Key::new(repository, Kind::Tag, tag);
        let now = self.world.tick();
        let write = self.world.begin(&key, None);
        let outcome = self.delete_reference(&key, now).await;
        self.world.end(&key, write, outcome);
    }

    async fn delete_reference(&mut self, key: &Key, now: crate::weather::Tick) -> Outcome {
        let path = format!("/v2/{}/manifests/{}", key.repository, key.name);
        let reply = self
            .ask(&key.repository, Access::Write, |http| {
                http.call(Method::DELETE, &path)
            })
            .await;
        match reply {
            Reply::Unknown => Outcome::Unknown,
            Reply::Answer(answer) => match answer.status.as_u16() {
                202 => {
                    self.world.acknowledged();
                    Outcome::Acknowledged
                }
                404 => {
                    self.compare(key, &None, now, &answer);
                    Outcome::Refused
                }
                _ => {
                    self.finding("a deletion is answered with something else", answer);
                    Outcome::Unknown
                }
            },
        }
    }

    /// The tags that point at it go, too.
    pub(super) async fn delete_manifest(&mut self, repository: &str) {
        let names = self.world.model().names(repository, Kind::Manifest);
        let Some(digest) = self.choose(&names) else {
            return;
        };
        let key = Key::new(repository, Kind::Manifest, &digest);
        let now = self.world.tick();
        let tags = self.world.model().pointing(repository, &digest, now);
        let write = self.world.begin(&key, None);
        let tag_writes: Vec<_> = tags
            .iter()
            .map(|(tag, _)| self.world.begin(tag, None))
            .collect();
        let outcome = self.delete_reference(&key, now).await;
        self.world.end(&key, write, outcome);
        for ((tag, certain), write) in tags.iter().zip(tag_writes) {
            let of_tag = match outcome {
                Outcome::Acknowledged if !certain => Outcome::Unknown,
                // It was not there, but a tag that pointed at it has been seen to go.
                outcome => outcome,
            };
            self.world.end(tag, write, of_tag);
        }
    }

    /// Where others push the same tag at the same moment.
    pub(super) async fn put_shared_tag(&mut self) {
        let shared = self.shared();
        let blob = self.new_blob();
        if !self.push_blob(&shared, &blob).await {
            return;
        }
        let layers = [blob];
        let manifest = self.manifest_of(&layers);
        let tag = TAGS[self.random.random_range(0..2)];
        self.put_manifest(&shared, &manifest, &layers, Some(tag))
            .await;
    }

    pub(super) async fn delete_shared_tag(&mut self) {
        let shared = self.shared();
        let tag = TAGS[self.random.random_range(0..2)];
        self.delete_this_tag(&shared, tag).await;
    }

    pub(super) async fn look_at_shared_tag(&mut self) {
        let tag = TAGS[self.random.random_range(0..2)];
        let key = Key::new(&self.shared(), Kind::Tag, tag);
        self.look_at(&key).await;
    }
}
