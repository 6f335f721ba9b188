//! A whole registry for one test: `SQLite`, a folder, a clock that is set by hand, and keys to sign
//! tokens with.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, test};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use database::testing::TestDatabase;
use registry_token::{
    Access, AccessEntry, Actions, Claims, Denials, RepositoryName, Resource, SigningAlgorithm,
    SigningKey, TrustedKeys, Verifier, VerifierSettings,
};
use serde_json::{Value, json};
use service::client_address::PathPrefix;
use service::health::Health;

use crate::auth::{Authorized, Gatekeeper, Permission, Presented};
use crate::blob_store::{BlobStore, FilesystemStore};
use crate::clock::Clock;
use crate::config::{LocationBase, Realm, WebSettings};
use crate::http::{self, Door, Site};
use crate::metadata::SQLITE_MIGRATIONS;
use crate::metrics::StorageMetrics;
use crate::oci::{Algorithm, Digest, media_type};
use crate::registry::{Registry, Rules};
use crate::state::State;

pub const ISSUER: &str = "test-issuer";
pub const SERVICE: &str = "test-registry";
pub const GRACE: Duration = Duration::from_hours(2);

/// Half an hour after midnight, some day: far enough from everything.
pub fn start_of_test() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

pub struct TestRegistry {
    pub state: Arc<State>,
    pub clock: Clock,
    pub store: Arc<FilesystemStore>,
    pub database: TestDatabase,
    pub metrics: StorageMetrics,
    /// Where the store is.
    pub folder: tempfile::TempDir,
    key: SigningKey,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl TestRegistry {
    pub async fn new() -> Self {
        let rules = Rules {
            deletion: true,
            ..Rules::default()
        };
        Self::with(rules, |_| {}).await
    }

    pub async fn with(rules: Rules, change: impl FnOnce(&mut WebSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::sqlite(&SQLITE_MIGRATIONS).await;
        let store = Arc::new(FilesystemStore::open(folder.path()).unwrap());
        let clock = Clock::manual(start_of_test());
        let metrics = StorageMetrics::new("filesystem");
        let key = SigningKey::generate(SigningAlgorithm::Es256, clock.now()).unwrap();
        let keys = TrustedKeys::from_bundle_pem(key.certificate_pem().as_bytes()).unwrap();
        let verifier = Verifier::new(VerifierSettings::new(ISSUER, SERVICE), keys);
        let blobs: Arc<dyn BlobStore> = Arc::clone(&store) as _;
        let mut settings = WebSettings {
            prefix: PathPrefix::default(),
            location: LocationBase::Relative,
            headers: Vec::new(),
            idle_timeout: Duration::from_mins(1),
            handover: None,
            max_tags: 100,
            max_entries: 100,
        };
        change(&mut settings);
        let realm = Realm::Fixed("https://auth.test/token".to_owned());
        let state = State {
            registry: Arc::new(Registry::new(
                database.database.clone(),
                blobs,
                clock.clone(),
                rules,
                metrics.clone(),
            )),
            gatekeeper: Gatekeeper::with_tokens(Arc::new(verifier), GRACE),
            clock: clock.clone(),
            site: Site {
                settings,
                door: Door::Tokens {
                    realm,
                    service: SERVICE.to_owned(),
                },
            },
        };
        Self {
            state: Arc::new(state),
            clock,
            store,
            database,
            metrics,
            folder,
            key,
        }
    }

    pub fn registry(&self) -> &Registry {
        &self.state.registry
    }

    /// A token of alice's for five minutes, from now.
    pub fn token(&self, access: &[(&str, Actions)]) -> String {
        self.token_of(Some("alice"), access)
    }

    pub fn token_of(&self, subject: Option<&str>, access: &[(&str, Actions)]) -> String {
        let entries = access
            .iter()
            .map(|(name, actions)| AccessEntry::new(repository(name), *actions));
        self.signed(subject, entries.collect())
    }

    /// A token for the catalog.
    pub fn catalog_token(&self) -> String {
        let entry = AccessEntry::new(Resource::RegistryCatalog, Actions::ALL);
        self.signed(Some("alice"), Access::from(vec![entry]))
    }

    /// A token of alice's that says why it does not allow more.
    pub fn token_with(&self, access: &[(&str, Actions)], denials: Denials) -> String {
        let entries = access
            .iter()
            .map(|(name, actions)| AccessEntry::new(repository(name), *actions));
        self.signed_with(Some("alice"), entries.collect(), denials)
    }

    fn signed(&self, subject: Option<&str>, access: Access) -> String {
        self.signed_with(subject, access, Denials::default())
    }

    fn signed_with(&self, subject: Option<&str>, access: Access, denials: Denials) -> String {
        let now = self.clock.now();
        let claims = Claims {
            issuer: ISSUER.to_owned(),
            subject: subject.map(str::to_owned),
            audience: SERVICE.to_owned().into(),
            expires_at: now + TimeDelta::minutes(5),
            not_before: Some(now - TimeDelta::seconds(5)),
            issued_at: Some(now),
            id: None,
            access,
            auth_type: None,
            denials,
        };
        self.key.sign(&claims).unwrap()
    }

    /// A proof for alice.
    pub fn proof<P: Permission<Resource = RepositoryName>>(&self, name: &str) -> Authorized<P> {
        let token = self.token(&[(name, Actions::ALL)]);
        let gatekeeper = &self.state.gatekeeper;
        gatekeeper
            .authorize(Presented::Token(&token), repository(name), self.clock.now())
            .unwrap()
    }

    /// One request over the routes, as the server would take it.
    pub async fn call(&self, method: Method, path: &str, token: Option<&str>) -> Answer {
        self.send(method, path, token, &[], Bytes::new()).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let app = App::new().configure(http::configure(Arc::clone(&self.state), Health::default()));
        let app = test::init_service(app).await;
        let mut request = test::TestRequest::with_uri(path).method(method);
        if let Some(token) = token {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let response =
            test::call_service(&app, request.set_payload(body.into()).to_request()).await;
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: to_bytes(response.into_body()).await.unwrap_or_default(),
        }
    }

    /// Pushes a blob in one request.
    pub async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let body = futures_util::stream::iter([Ok(Bytes::copy_from_slice(content))]);
        self.registry()
            .push_blob(&self.proof(name), &digest, None, body)
            .await
            .unwrap();
        digest
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(HeaderValue::to_str);
        value.transpose().unwrap().unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> String {
        let json = self.json();
        json["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code, "{answer:?}");
        answer
    }
}

pub fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

/// An image manifest of these blobs; the first is the config.
pub fn image(contents: &[&[u8]]) -> Value {
    let descriptor = |content: &[u8]| {
        json!({
            "mediaType": "application/x",
            "digest": Digest::of(Algorithm::Sha256, content),
            "size": content.len(),
        })
    };
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(contents[0]),
        "layers": contents[1..].iter().map(|content| descriptor(content)).collect::<Vec<_>>(),
    })
}
