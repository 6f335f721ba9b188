//! [`Repository`]: the words of the registry's API, for one repository.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{Answer, Call, Client, Credentials, Upload, strings};
use crate::content::{Blob, Image, Manifest, media};

/// One repository in someone's hands.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) token: Arc<OnceCell<String>>,
}

impl Repository {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token that calls carry: fetched once.
    pub async fn token(&self) -> &str {
        self.token
            .get_or_init(|| async {
                let scope = format!("repository:{}:pull,push,delete", self.name);
                self.client.token(&[&scope]).await
            })
            .await
    }

    /// A call to `/v2/<name>/<path>`, or to a location the registry gave.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let path = if path.starts_with('/') || path.starts_with("http") {
            path.to_owned()
        } else {
            format!("/v2/{}/{path}", self.name)
        };
        let anonymous = Client {
            credentials: Credentials::Anonymous,
            ..self.client.clone()
        };
        let mut call = anonymous.call(method, &path);
        call.repository = Some(self.clone());
        call
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn head(&self, path: &str) -> Call {
        self.call(Method::HEAD, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    pub async fn get_blob(&self, digest: &str) -> Answer {
        self.get(&format!("blobs/{digest}")).send().await
    }

    pub async fn get_manifest(&self, reference: &str) -> Answer {
        self.get(&format!("manifests/{reference}"))
            .header("accept", media::ALL_MANIFESTS)
            .send()
            .await
    }

    pub async fn delete_manifest(&self, reference: &str) -> Answer {
        self.delete(&format!("manifests/{reference}")).send().await
    }

    /// Opens an upload session.
    pub async fn start_upload(&self) -> Upload {
        let answer = self.post("blobs/uploads/").send().await.expect(202);
        Upload {
            repository: self.clone(),
            location: answer.header("location").to_owned(),
        }
    }

    /// Pushes a blob in one request.
    pub async fn put_blob(&self, blob: &Blob) -> Answer {
        let upload = self.start_upload().await;
        upload.finish_with(&blob.digest, blob.bytes.clone()).await
    }

    /// Pushes a blob with a single `POST`.
    pub async fn post_blob(&self, blob: &Blob) -> Answer {
        self.post(&format!("blobs/uploads/?digest={}", blob.digest))
            .header("content-type", "application/octet-stream")
            .body(blob.bytes.clone())
            .send()
            .await
    }

    /// Stores a blob, by the shortest way.
    pub async fn push_blob(&self, blob: &Blob) {
        self.put_blob(blob).await.expect(201);
    }

    pub async fn put_manifest(&self, manifest: &Manifest, reference: &str) -> Answer {
        self.put(&format!("manifests/{reference}"))
            .header("content-type", &manifest.media_type)
            .body(manifest.bytes.clone())
            .send()
            .await
    }

    pub async fn push_manifest(&self, manifest: &Manifest, reference: &str) {
        self.put_manifest(manifest, reference).await.expect(201);
    }

    /// Stores an image with all its blobs, under a tag or a digest.
    pub async fn push(&self, image: &Image, reference: &str) {
        for blob in image.blobs() {
            self.push_blob(blob).await;
        }
        self.push_manifest(&image.manifest, reference).await;
    }

    /// Checks that the manifest and every blob come back as they were pushed.
    pub async fn expect_image(&self, image: &Image, reference: &str) {
        let answer = self.get_manifest(reference).await.expect(200);
        assert_eq!(answer.header("content-type"), image.manifest.media_type);
        assert_eq!(answer.body, image.manifest.bytes);
        for blob in image.blobs() {
            self.expect_blob(blob).await;
        }
    }

    pub async fn expect_blob(&self, blob: &Blob) {
        let answer = self.get_blob(&blob.digest).await.expect(200);
        assert!(
            answer.body == blob.bytes,
            "{} came back changed: {} bytes of {}",
            blob.digest,
            answer.body.len(),
            blob.bytes.len()
        );
    }

    pub async fn tags(&self) -> Vec<String> {
        let answer = self.get("tags/list").send().await.expect(200).json();
        assert_eq!(answer["name"], self.name);
        strings(&answer["tags"])
    }

    /// The descriptors of what refers to a digest.
    pub async fn referrers(&self, digest: &str) -> Vec<Value> {
        let answer = self
            .get(&format!("referrers/{digest}"))
            .send()
            .await
            .expect(200);
        assert_eq!(answer.header("content-type"), media::OCI_INDEX);
        let index = answer.json();
        assert_eq!(index["schemaVersion"], 2);
        assert_eq!(index["mediaType"], media::OCI_INDEX);
        index["manifests"].as_array().unwrap().clone()
    }
}
