//! The registry's API in the few words that tests need.
//!
//! A [`Client`] is someone at a registry: anonymous, with a login, or with a token. A
//! [`Repository`] is one repository in their hands, with a token fetched through the realm that
//! the registry names. [`Answer`]s check themselves and show everything when they fail.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::content::{Blob, Image, Manifest, media};

/// Someone at a registry.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    origin: Url,
    credentials: Credentials,
    challenge: Arc<OnceCell<Challenge>>,
}

#[derive(Clone, Debug)]
enum Credentials {
    Anonymous,
    Login { name: String, password: String },
    Token(String),
}

/// What `WWW-Authenticate` asks for.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub realm: Url,
    pub service: String,
    pub scope: Option<String>,
    pub error: Option<String>,
}

impl Client {
    pub fn new(origin: &Url) -> Self {
        Self::with_http(origin, reqwest::Client::builder())
    }

    /// One who trusts other certificates, knows other names, …
    pub fn with_http(origin: &Url, http: reqwest::ClientBuilder) -> Self {
        Self {
            // A redirect is an answer to look at, not something to follow.
            http: http
                .redirect(reqwest::redirect::Policy::none())
                // A busy server may leave a large push unread for a while: its patience counts here.
                .tcp_user_timeout(None)
                .build()
                .unwrap(),
            origin: origin.clone(),
            credentials: Credentials::Anonymous,
            challenge: Arc::default(),
        }
    }

    #[must_use]
    pub fn login(&self, name: &str, password: &str) -> Self {
        Self {
            credentials: Credentials::Login {
                name: name.to_owned(),
                password: password.to_owned(),
            },
            ..self.clone()
        }
    }

    /// Sends this token with every call, whoever signed it.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            credentials: Credentials::Token(token.to_owned()),
            ..self.clone()
        }
    }

    pub fn origin(&self) -> &Url {
        &self.origin
    }

    /// A call that carries a fixed token if there is one, and nothing else.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let url = self.origin.join(path).unwrap();
        let line = format!("{method} {url}");
        let mut builder = self.http.request(method, url);
        if let Credentials::Token(token) = &self.credentials {
            builder = builder.bearer_auth(token);
        }
        Call {
            line,
            http: self.http.clone(),
            builder,
            repository: None,
        }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// The catalog, with a token that opens it for who may see it.
    pub async fn catalog(&self, query: &str) -> Answer {
        let token = self.token(&["registry:catalog:*"]).await;
        self.get(&format!("/v2/_catalog{query}"))
            .bearer(&token)
            .send()
            .await
    }

    /// What the registry asks of one who shows nothing.
    pub async fn challenge(&self) -> &Challenge {
        self.challenge
            .get_or_init(|| async {
                let anonymous = Self {
                    credentials: Credentials::Anonymous,
                    ..self.clone()
                };
                anonymous.get("/v2/").send().await.expect(401).challenge()
            })
            .await
    }

    /// The realm's answer for these scopes.
    pub async fn token_answer(&self, scopes: &[&str]) -> Answer {
        let challenge = self.challenge().await;
        let mut url = challenge.realm.clone();
        url.query_pairs_mut()
            .append_pair("service", &challenge.service)
            .extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        let mut builder = self.http.get(url.clone());
        if let Credentials::Login { name, password } = &self.credentials {
            builder = builder.basic_auth(name, Some(password));
        }
        Call {
            line: format!("GET {url}"),
            http: self.http.clone(),
            builder,
            repository: None,
        }
        .send()
        .await
    }

    /// A token for these scopes, or as much of them as this someone has.
    pub async fn token(&self, scopes: &[&str]) -> String {
        if let Credentials::Token(token) = &self.credentials {
            return token.clone();
        }
        let answer = self.token_answer(scopes).await.expect(200);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// This repository, with all rights in it that this someone has.
    pub fn repository(&self, name: &str) -> Repository {
        Repository {
            client: self.clone(),
            name: name.to_owned(),
            token: Arc::default(),
        }
    }
}

/// One repository in someone's hands.
#[derive(Clone, Debug)]
pub struct Repository {
    client: Client,
    name: String,
    token: Arc<OnceCell<String>>,
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

/// An open upload session.
#[derive(Debug)]
pub struct Upload {
    repository: Repository,
    /// Where the registry says to go on.
    pub location: String,
}

impl Upload {
    /// Someone else's, or an earlier one's, session at this location.
    pub fn resume(repository: &Repository, location: &str) -> Self {
        Self {
            repository: repository.clone(),
            location: location.to_owned(),
        }
    }

    /// The bytes from `offset` on, and says so. Follows the new location when they are taken.
    pub async fn chunk(&mut self, offset: usize, bytes: impl Into<Bytes>) -> Answer {
        let bytes = bytes.into();
        let range = format!("{offset}-{}", offset + bytes.len() - 1);
        let call = self.patch().header("content-range", &range).body(bytes);
        let answer = call.send().await;
        self.follow(&answer);
        answer
    }

    /// More bytes, without saying where they belong.
    pub async fn append(&mut self, bytes: impl Into<Bytes>) -> Answer {
        let answer = self.patch().body(bytes.into()).send().await;
        self.follow(&answer);
        answer
    }

    /// A `PATCH` of this session, to be filled in.
    pub fn patch(&self) -> Call {
        self.repository
            .call(Method::PATCH, &self.location)
            .header("content-type", "application/octet-stream")
    }

    /// Closes the session with what was sent.
    pub async fn finish(&self, digest: &str) -> Answer {
        self.finish_with(digest, Bytes::new()).await
    }

    /// Closes the session with the last, or all, bytes.
    pub async fn finish_with(&self, digest: &str, bytes: impl Into<Bytes>) -> Answer {
        self.closing(digest).body(bytes.into()).send().await
    }

    /// The closing `PUT`, to be filled in.
    pub fn closing(&self, digest: &str) -> Call {
        let separator = if self.location.contains('?') {
            '&'
        } else {
            '?'
        };
        self.repository
            .put(&format!("{}{separator}digest={digest}", self.location))
            .header("content-type", "application/octet-stream")
    }

    pub async fn status(&self) -> Answer {
        self.repository.get(&self.location).send().await
    }

    pub async fn cancel(&self) -> Answer {
        self.repository.delete(&self.location).send().await
    }

    fn follow(&mut self, answer: &Answer) {
        if answer.status == StatusCode::ACCEPTED {
            answer.header("location").clone_into(&mut self.location);
        }
    }
}

/// A request about to be sent.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    line: String,
    http: reqwest::Client,
    builder: reqwest::RequestBuilder,
    /// Whose token it carries.
    repository: Option<Repository>,
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.line = format!("{}\n  {name}: {value}", self.line);
        self.builder = self.builder.header(name, value);
        self
    }

    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.builder = self.builder.body(body);
        self
    }

    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.builder = self.builder.form(fields);
        self
    }

    pub fn json(mut self, value: &Value) -> Self {
        self.builder = self.builder.json(value);
        self
    }

    pub fn bearer(mut self, token: &str) -> Self {
        self.builder = self.builder.bearer_auth(token);
        self
    }

    pub fn basic(mut self, name: &str, password: &str) -> Self {
        self.builder = self.builder.basic_auth(name, Some(password));
        self
    }

    pub async fn send(self) -> Answer {
        let line = self.line.clone();
        self.try_send()
            .await
            .unwrap_or_else(|error| panic!("{line}\nfailed: {error:?}"))
    }

    /// For calls to a server that may be killed meanwhile.
    pub async fn try_send(self) -> reqwest::Result<Answer> {
        let mut request = self.builder.build()?;
        if let Some(repository) = &self.repository
            && !request.headers().contains_key(AUTHORIZATION)
        {
            // Boxed: fetching a token is a call of its own.
            let token = Box::pin(repository.token()).await;
            let token = format!("Bearer {token}");
            request
                .headers_mut()
                .insert(AUTHORIZATION, token.parse().unwrap());
        }
        // Empty is a length, too: a POST without one is refused by some proxies.
        if request.body().is_none() && request.method() == Method::POST {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, "0".parse().unwrap());
        }
        let response = self.http.execute(request).await?;
        Ok(Answer {
            line: self.line,
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }
}

/// What came back, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for messages.
    pub(crate) line: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Checks that it is an error as the specification wants it: status, code, a sentence.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{self}");
        assert!(
            self.header("content-type").starts_with("application/json"),
            "{self}"
        );
        let body = self.json();
        let error = &body["errors"][0];
        assert_eq!(error["code"], code, "{self}");
        assert!(
            error["message"].as_str().is_some_and(|m| !m.is_empty()),
            "an error needs a sentence: {self}"
        );
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self}"))
            .to_str()
            .unwrap()
    }

    /// Checks a header's value.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), value, "{name} in {self}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }

    #[track_caller]
    pub fn challenge(&self) -> Challenge {
        Challenge::parse(self.header("www-authenticate"))
            .unwrap_or_else(|| panic!("no challenge in {self}"))
    }

    /// The target of `Link: <…>; rel="next"`.
    pub fn next_page(&self) -> Option<String> {
        let link = self.headers.get("link")?.to_str().unwrap();
        let (target, rel) = link.strip_prefix('<')?.split_once('>')?;
        assert_eq!(rel.trim(), r#"; rel="next""#, "{self}");
        Some(target.to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nanswered {}", self.line, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let shown = &self.body[..self.body.len().min(2000)];
        write!(f, "{}", String::from_utf8_lossy(shown))
    }
}

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…",error="…"`
    pub fn parse(header: &str) -> Option<Self> {
        let parameters = header.strip_prefix("Bearer ")?;
        let mut found = std::collections::HashMap::new();
        let mut rest = parameters;
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"')?;
            found.insert(name.trim_start_matches([',', ' ']), value.to_owned());
            rest = after;
        }
        Some(Self {
            realm: Url::parse(&found.remove("realm")?).ok()?,
            service: found.remove("service")?,
            scope: found.remove("scope"),
            error: found.remove("error"),
        })
    }
}

/// A JSON list of strings.
#[track_caller]
pub fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap_or_else(|| panic!("not a list: {list}"))
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}
