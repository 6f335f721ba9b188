//! Keys from files and from the issuer, while they change and while they fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail on what it builds"
)]

mod support;

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use registry_token::{
    Algorithm, KeyLocation, KeyOrigin, KeySource, KeySourceError, KeySourceSettings,
    KeySourceStatus, Verifier,
};
use serde_json::json;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};

fn origin(location: KeyLocation) -> KeyOrigin {
    KeyOrigin {
        location,
        setting: "auth.token.keys".into(),
        may_appear_later: false,
    }
}

fn bundle(path: &Path) -> KeyOrigin {
    origin(KeyLocation::Bundle(path.into()))
}

/// Intervals short enough for a test to see the next look.
fn quick(origins: Vec<KeyOrigin>) -> KeySourceSettings {
    KeySourceSettings {
        file_interval: Duration::from_millis(10),
        fetch_interval: Duration::from_millis(20),
        ..KeySourceSettings::new(origins)
    }
}

fn pem(signer: &Signer) -> String {
    signer.self_signed("signer").to_pem()
}

fn jwks(signers: &[&Signer]) -> String {
    let key = |signer: &&Signer| signer.public_key().to_jwk("key".into());
    json!({"keys": signers.iter().map(key).collect::<Vec<_>>()}).to_string()
}

fn token(signer: &Signer) -> String {
    signer.token(json!({"kid": signer.public_key().libtrust_id()}), &claims())
}

/// Stops watching at the end of a test.
struct Watching {
    verifier: Arc<Verifier>,
    status: KeySourceStatus,
    task: JoinHandle<()>,
}

impl Watching {
    async fn start(settings: KeySourceSettings) -> Self {
        let source = KeySource::load(settings).await.unwrap();
        let verifier = Arc::new(verifier(source.keys()));
        let status = source.status();
        let task = tokio::spawn(source.run(Arc::clone(&verifier)));
        Self {
            verifier,
            status,
            task,
        }
    }

    fn accepts(&self, signer: &Signer) -> bool {
        self.verifier.verify(&token(signer), now()).is_ok()
    }

    fn failure(&self) -> Option<String> {
        self.status
            .failures()
            .first()
            .and_then(|origin| origin.failure.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        timeout(Duration::from_secs(10), wait).await.is_ok(),
        "never: {what}"
    );
}

/// What an issuer's web server answers, and how often it was asked.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Issuer {
    async fn start(status: u16, body: String) -> Self {
        Self::start_with("", status, body).await
    }

    /// With more header lines, each ending in CR LF.
    async fn start_with(headers: &'static str, status: u16, body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://user:secret@{}/jwks.json",
            listener.local_addr().unwrap()
        );
        let answer = Arc::new(Mutex::new((status, body)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, counter) = (Arc::clone(&answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = connection.read(&mut [0; 4096]).await;
                let (status, body) = answers.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n",
                    body.len()
                );
                let _ = connection.write_all(head.as_bytes()).await;
                let _ = connection.write_all(body.as_bytes()).await;
            }
        });
        Self {
            url,
            answer,
            asked,
            task,
        }
    }

    fn answer(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn origin(&self) -> KeyOrigin {
        origin(KeyLocation::JwksUrl(self.url.parse().unwrap()))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn several_places_are_believed_together() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::EdDsa));
    let (first, second) = (
        directory.path().join("a.pem"),
        directory.path().join("b.json"),
    );
    fs::write(&first, pem(&one)).unwrap();
    fs::write(&second, jwks(&[&two])).unwrap();
    let origins = vec![bundle(&first), origin(KeyLocation::JwksFile(second))];
    let watching = Watching::start(quick(origins)).await;
    assert!(watching.accepts(&one) && watching.accepts(&two));
    let keys: Vec<usize> = watching
        .status
        .origins()
        .iter()
        .map(|origin| origin.keys)
        .collect();
    assert_eq!(keys, [1, 1]);
}

#[tokio::test]
async fn a_start_with_a_missing_or_wrong_file_names_path_and_setting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bundle.pem");
    let refused = KeySource::load(quick(vec![bundle(&path)]))
        .await
        .unwrap_err();
    assert!(matches!(refused, KeySourceError::File { .. }));
    let sentence = refused.to_string();
    assert!(
        sentence.starts_with("auth.token.keys: cannot read "),
        "{sentence}"
    );
    assert!(sentence.contains("bundle.pem"), "{sentence}");

    fs::write(&path, "no certificate").unwrap();
    let refused = KeySource::load(quick(vec![bundle(&path)]))
        .await
        .unwrap_err();
    assert!(matches!(refused, KeySourceError::Content { .. }));
    assert!(
        refused.to_string().contains("holds no certificate"),
        "{refused}"
    );

    fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
    let refused = KeySource::load(quick(vec![bundle(&path)]))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("bigger than 1 MiB"),
        "{refused}"
    );

    let url = origin(KeyLocation::JwksUrl("file:///etc/passwd".parse().unwrap()));
    let refused = KeySource::load(quick(vec![url])).await.unwrap_err();
    assert!(
        matches!(refused, KeySourceError::Scheme { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_may_be_promised_for_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bundle.pem");
    let later = KeyOrigin {
        may_appear_later: true,
        ..bundle(&path)
    };
    let watching = Watching::start(quick(vec![later])).await;
    let signer = Signer::new(Algorithm::Es256);
    assert!(!watching.accepts(&signer));
    assert!(watching.failure().is_some());
    fs::write(&path, pem(&signer)).unwrap();
    eventually("the file is read", || watching.accepts(&signer)).await;
    eventually("the failure is over", || watching.failure().is_none()).await;
}

#[tokio::test]
async fn a_rewritten_file_is_read_and_a_damaged_one_keeps_the_last_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bundle.pem");
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    fs::write(&path, pem(&old)).unwrap();
    let watching = Watching::start(quick(vec![bundle(&path)])).await;
    assert!(watching.accepts(&old) && !watching.accepts(&new));

    fs::write(&path, &pem(&old)[..200]).unwrap();
    eventually("the damage is noticed", || watching.failure().is_some()).await;
    assert!(watching.accepts(&old));
    fs::remove_file(&path).unwrap();
    let is_gone = |failure: Option<String>| failure.is_some_and(|f| f.contains("cannot read"));
    eventually("the loss is noticed", || is_gone(watching.failure())).await;
    assert!(watching.accepts(&old));

    fs::write(&path, pem(&new)).unwrap();
    eventually("the new key is believed", || watching.accepts(&new)).await;
    assert!(
        !watching.accepts(&old),
        "what is gone from the bundle is no longer believed"
    );
    eventually("the failure is over", || watching.failure().is_none()).await;
}

/// How Kubernetes updates a mounted Secret: the path is a link through a directory that is
/// itself replaced as a link.
#[tokio::test]
async fn a_swapped_symbolic_link_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    for (version, signer) in [("v1", &old), ("v2", &new)] {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("bundle.pem"), pem(signer)).unwrap();
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    };
    link("v1", "data");
    link("data/bundle.pem", "bundle.pem");
    let watching = Watching::start(quick(vec![bundle(&root.join("bundle.pem"))])).await;
    assert!(watching.accepts(&old));
    link("v2", "next");
    fs::rename(root.join("next"), root.join("data")).unwrap();
    eventually("the new key is believed", || watching.accepts(&new)).await;
}

#[tokio::test]
async fn keys_are_fetched_again_and_failures_keep_the_last_ones() {
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let issuer = Issuer::start(200, jwks(&[&old])).await;
    let watching = Watching::start(quick(vec![issuer.origin()])).await;
    assert!(watching.accepts(&old));

    let big = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1024 * 1024));
    for (status, body, expected) in [
        (503, "", "503"),
        (200, "<html>", "not a JSON Web Key Set"),
        (200, "{\"keys\":[]}", "no key for signatures"),
        (200, &big, "bigger than 1 MiB"),
    ] {
        issuer.answer(status, body);
        let noticed = || {
            watching
                .failure()
                .is_some_and(|failure| failure.contains(expected))
        };
        eventually(expected, noticed).await;
        assert!(watching.accepts(&old), "{expected}");
    }
    issuer.answer(200, &jwks(&[&old, &new]));
    eventually("the new key is believed", || watching.accepts(&new)).await;
    eventually("the failure is over", || watching.failure().is_none()).await;
}

#[tokio::test]
async fn an_issuer_may_start_after_us() {
    let signer = Signer::new(Algorithm::Es256);
    let issuer = Issuer::start(502, String::new()).await;
    let watching = Watching::start(quick(vec![issuer.origin()])).await;
    assert!(!watching.accepts(&signer));
    assert!(watching.failure().unwrap().contains("502"));
    issuer.answer(200, &jwks(&[&signer]));
    eventually("the key is believed", || watching.accepts(&signer)).await;
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_reported_without_credentials() {
    let issuer = Issuer::start(200, String::new()).await;
    let gone = issuer.origin();
    drop(issuer);
    sleep(Duration::from_millis(20)).await;
    let watching = Watching::start(quick(vec![gone])).await;
    let status = format!("{:?}", watching.status.origins());
    assert!(
        status.contains("jwks.json") && !status.contains("secret"),
        "{status}"
    );
    assert!(watching.failure().is_some());
}

#[tokio::test]
async fn an_unknown_key_fetches_sooner_but_not_at_will() {
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let issuer = Issuer::start(200, jwks(&[&old])).await;
    let settings = KeySourceSettings {
        unknown_key_interval: Duration::from_millis(300),
        ..KeySourceSettings::new(vec![issuer.origin()])
    };
    let watching = Watching::start(settings).await;
    let stranger = Signer::new(Algorithm::Es256);
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_millis(750) {
        assert!(!watching.accepts(&stranger));
        sleep(Duration::from_millis(2)).await;
    }
    let allowed = 1 + began.elapsed().as_millis() / 300;
    assert!(
        issuer.asked() as u128 <= allowed,
        "asked {} times",
        issuer.asked()
    );
    assert!(issuer.asked() > 1, "long before the five minutes are over");

    issuer.answer(200, &jwks(&[&old, &new]));
    eventually("the new key is believed", || watching.accepts(&new)).await;
}

#[tokio::test]
async fn an_issuer_that_wants_to_be_asked_sooner_is() {
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let headers = "cache-control: public, max-age=1\r\n";
    let issuer = Issuer::start_with(headers, 200, jwks(&[&old])).await;
    let settings = KeySourceSettings {
        shortest_interval: Duration::from_secs(1),
        ..KeySourceSettings::new(vec![issuer.origin()])
    };
    let watching = Watching::start(settings).await;
    issuer.answer(200, &jwks(&[&old, &new]));
    // No token with the new key has come yet: nothing else makes it look.
    eventually("it looks again", || issuer.asked() > 1).await;
    eventually("the new key is known", || {
        watching.verifier.with_keys(|keys| keys.len() == 2)
    })
    .await;
    assert!(watching.accepts(&new));
}

#[tokio::test]
async fn known_keys_and_forgeries_do_not_bother_the_issuer() {
    let signer = Signer::new(Algorithm::Es256);
    let issuer = Issuer::start(200, jwks(&[&signer])).await;
    let settings = KeySourceSettings {
        unknown_key_interval: Duration::ZERO,
        ..KeySourceSettings::new(vec![issuer.origin()])
    };
    let watching = Watching::start(settings).await;
    let forged = token(&signer).replace("eyJ", "eyI");
    for _ in 0..10 {
        assert!(watching.accepts(&signer));
        assert!(watching.verifier.verify(&forged, now()).is_err());
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(issuer.asked(), 1);
}
