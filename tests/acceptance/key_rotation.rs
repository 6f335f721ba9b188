//! Signing keys change while everybody works: not one request fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use acceptance::served::{Configured, Served};
use acceptance::tokens::{ForeignIssuer, header_of};
use acceptance::{
    ADMIN_PASSWORD, Client, Invocation, Launch, LoneRegistry, Process, Ready, Setup, fresh_postgres,
};
use serde_json::Value;
use url::Url;

/// The shortest that is allowed.
const AHEAD: (&str, Duration) = ("20s", Duration::from_secs(20));

/// Registries look at a bundle every three seconds.
const SEEN: Duration = Duration::from_secs(15);

/// What went on while somebody asked for tokens and used each at once, all the time.
#[derive(Default)]
struct Tally {
    requests: usize,
    /// The keys that signed, in the order of their names.
    kids: BTreeSet<String>,
    failures: Vec<String>,
}

/// Asks every realm, and shows each token to every registry, until it is told to stop.
fn load(
    realms: &[Url],
    registries: &[Url],
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<Tally>> {
    let run = |index: usize| {
        let (realms, registries) = (realms.to_vec(), registries.to_vec());
        let stop = Arc::clone(stop);
        tokio::spawn(async move {
            let mut tally = Tally::default();
            let mut turn = index;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let realm = Client::new(&realms[turn % realms.len()]);
                let path = "/auth/token?service=portcullis-registry";
                let answer = realm.get(path).send().await;
                tally.requests += 1;
                if answer.status != 200 {
                    tally.failures.push(answer.to_string());
                    continue;
                }
                let token = answer.json()["token"].as_str().unwrap().to_owned();
                let kid = header_of(&token)["kid"].as_str().unwrap().to_owned();
                tally.kids.insert(kid);
                for registry in &registries {
                    let used = Client::new(registry).with_token(&token);
                    let answer = used.get("/v2/").send().await;
                    tally.requests += 1;
                    if answer.status != 200 {
                        tally.failures.push(answer.to_string());
                    }
                }
            }
            tally
        })
    };
    (0..4).map(run).collect()
}

async fn add_up(running: Vec<tokio::task::JoinHandle<Tally>>) -> Tally {
    let mut all = Tally::default();
    for tally in running {
        let tally = tally.await.unwrap();
        all.requests += tally.requests;
        all.kids.extend(tally.kids);
        all.failures.extend(tally.failures);
    }
    all
}

#[track_caller]
fn assert_nothing_failed(tally: &Tally, keys: usize) {
    let count = tally.failures.len();
    assert_eq!(count, 0, "of {}: {}", tally.requests, tally.failures[0]);
    assert_eq!(tally.kids.len(), keys, "{:?}", tally.kids);
    assert!(tally.requests > 500, "{}: that was no load", tally.requests);
}

async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What `auth key list` says.
fn keys(list: &Invocation) -> Vec<Value> {
    let listed = list
        .clone()
        .args(["--output", "json"])
        .run()
        .expect_success();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    listed.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_fails_while_keys_rotate_and_a_stolen_key_opens_nothing() {
    let portcullis = Setup::up()
        .auth_env("AUTH_KEYS_PUBLISHAHEAD", AHEAD.0)
        .start()
        .await;
    let of_old = portcullis.admin().token(&[]).await;
    let opens = async |token: &str| {
        let used = portcullis.anonymous().with_token(token);
        used.get("/v2/").send().await.status == 200
    };
    let list = portcullis.accounts(["auth", "key", "list"]);
    let old = keys(&list)[0]["thumbprint"].as_str().unwrap().to_owned();

    let stop = Arc::new(AtomicBool::new(false));
    let origin = [portcullis.origin().clone()];
    let running = load(&origin, &origin, &stop);
    let rotate = portcullis.accounts(["auth", "key", "rotate"]);
    rotate
        .env("AUTH_KEYS_PUBLISHAHEAD", AHEAD.0)
        .run()
        .expect_success()
        .expect_says(["is published, and signs from"]);
    until("the new key signs", AHEAD.1 + SEEN, async || {
        keys(&list)[1]["state"] == "signing"
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.store(true, Ordering::Relaxed);
    assert_nothing_failed(&add_up(running).await, 2);

    assert_eq!(keys(&list)[0]["state"], "verifying");
    assert!(opens(&of_old).await, "it has not expired");
    let retire = portcullis.accounts(["auth", "key", "retire", &old]);
    retire
        .run()
        .expect_failure()
        .expect_says(["force its retirement"]);
    let forced = portcullis.accounts(["auth", "key", "retire", &old, "--force"]);
    forced.run().expect_success();
    until(
        "the token of the retired key is refused",
        SEEN,
        async || !opens(&of_old).await,
    )
    .await;
    let fresh = portcullis.admin().token(&[]).await;
    assert!(opens(&fresh).await);
}

/// One of several auth-servers on a database, with nothing but that in common.
pub async fn replica(folder: &Path, name: &str, database: &str) -> Process {
    let configuration = format!(
        "http:\n  addr: 127.0.0.1:0\ndatabase:\n  url: {database}\nkeys:\n  path: {}\n  \
         publishahead: {}\n  encryptionkey: {}\n",
        folder.join(name).display(),
        AHEAD.0,
        "0123456789abcdef".repeat(4),
    );
    let file = folder.join(format!("{name}.yml"));
    std::fs::write(&file, configuration).unwrap();
    let serve = Invocation::portcullis()
        .args(["auth", "serve", "--config"])
        .arg(file)
        .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD);
    Process::start(Launch {
        invocation: serve.current_dir(folder),
        log: folder.join(format!("{name}.log")),
        ready: Ready::Announced,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_rotate_together_and_registries_follow_by_bundle_and_by_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let database = fresh_postgres();
    let one = replica(path, "one", &database).await;
    let two = replica(path, "two", &database).await;
    let (issuer, service) = ("portcullis-auth", "portcullis-registry");
    let bundle = path.join("one/bundle.pem");
    let by_bundle = LoneRegistry::with_bundle(issuer, service, &bundle).await;
    let key_set = two.origin().join(".well-known/jwks.json").unwrap();
    let by_url = LoneRegistry::with_jwks(issuer, service, Path::new(key_set.as_str())).await;
    let private = std::fs::read_dir(path.join("one")).unwrap();
    let private = private.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("signing")
    });
    assert_eq!(private.count(), 0, "private keys are in the database");

    let stop = Arc::new(AtomicBool::new(false));
    let running = load(
        &[one.origin().clone(), two.origin().clone()],
        &[by_bundle.origin().clone(), by_url.origin().clone()],
        &stop,
    );
    let command = |words: &[&str]| {
        Invocation::portcullis()
            .args(words)
            .arg("--config")
            .arg(path.join("two.yml"))
    };
    command(&["auth", "key", "rotate"]).run().expect_success();
    let list = command(&["auth", "key", "list"]);
    until("the new key signs", AHEAD.1 + SEEN, async || {
        keys(&list)[1]["state"] == "signing"
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.store(true, Ordering::Relaxed);
    assert_nothing_failed(&add_up(running).await, 2);

    // However many servers there are, each step is taken and told once.
    let audit = command(&["auth", "audit", "--action", "key", "--output", "jsonl"]);
    let audit = audit.run().expect_success();
    let actions: Vec<String> = audit
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["action"].to_string())
        .collect();
    let expected = ["key.generate", "key.generate", "key.activate"];
    assert_eq!(actions, expected.map(|action| format!("{action:?}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_pair_of_the_operators_own_is_imported() {
    let portcullis = Setup::up()
        .auth_env("AUTH_KEYS_PUBLISHAHEAD", AHEAD.0)
        .start()
        .await;
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (
        folder.path().join("token.key"),
        folder.path().join("token.crt"),
    );
    Invocation::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9",
        ])
        .args(["-subj", "/CN=our own", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .run()
        .expect_success();
    let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let import = [
        "auth",
        "key",
        "import",
        "--key",
        key,
        "--certificate",
        certificate,
    ];
    // The command does not know the server's variable, and goes by it nevertheless.
    portcullis.accounts(import).run().expect_success();
    until("the imported key signs", AHEAD.1 + SEEN, async || {
        let token = portcullis.admin().token(&[]).await;
        header_of(&token)["alg"] == "RS256"
    })
    .await;
    let token = portcullis.admin().token(&[]).await;
    let used = portcullis.anonymous().with_token(&token);
    used.get("/v2/").send().await.expect(200);
    let again = portcullis.accounts(import).run().expect_failure();
    again.expect_says(["is here already"]);
}

/// An auth-server with a mounted pair, and a registry that believes three certificates, as GitLab's
/// administrators would set them up.
struct Mounted {
    auth: Served,
    registry: LoneRegistry,
    _bundle: tempfile::NamedTempFile,
}

impl Mounted {
    async fn start(pairs: &[&ForeignIssuer; 3]) -> Self {
        let configuration = "http: {addr: '127.0.0.1:0'}
keys: {signingkey: token.key, certificate: token.crt, path: keys}
";
        let auth = Configured::auth(configuration)
            .file("token.key", pairs[0].key_pem())
            .file("token.crt", pairs[0].certificate_pem())
            .start()
            .await;
        let certificates: String = pairs.iter().map(|pair| pair.certificate_pem()).collect();
        let bundle = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(bundle.path(), certificates).unwrap();
        let (issuer, service) = ("portcullis-auth", "portcullis-registry");
        Self {
            auth,
            registry: LoneRegistry::with_bundle(issuer, service, bundle.path()).await,
            _bundle: bundle,
        }
    }

    fn replace(&self, key: &str, certificate: &str) {
        std::fs::write(self.auth.path("token.key"), key).unwrap();
        std::fs::write(self.auth.path("token.crt"), certificate).unwrap();
    }

    /// A token of anybody, and the chain that it shows.
    async fn token(&self) -> (String, String) {
        let path = "/auth/token?service=portcullis-registry";
        let answer = self.auth.client().get(path).send().await.expect(200).json();
        let token = answer["token"].as_str().unwrap().to_owned();
        let chain = header_of(&token)["x5c"].to_string();
        (token, chain)
    }

    async fn opens(&self, token: &str) {
        let used = self.registry.with_token(token);
        used.get("/v2/").send().await.expect(200);
    }

    async fn signs_with(&self, pair: &ForeignIssuer) -> String {
        let pem = pair.certificate_pem();
        let certificate: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let mut token = String::new();
        until("the new pair signs", SEEN, async || {
            let (fresh, chain) = self.token().await;
            token = fresh;
            chain.contains(&certificate)
        })
        .await;
        token
    }
}

#[tokio::test]
async fn a_mounted_pair_is_followed_by_its_files_and_a_broken_one_changes_nothing() {
    let [one, two, three] = std::array::from_fn(|_| ForeignIssuer::new());
    let mut mounted = Mounted::start(&[&one, &two, &three]).await;
    let first = mounted.signs_with(&one).await;

    mounted.replace(&two.key_pem(), &two.certificate_pem());
    mounted.auth.process().signal(rustix::process::Signal::HUP);
    let second = mounted.signs_with(&two).await;
    mounted
        .auth
        .logs(&["the mounted key signs from now on"])
        .await;
    for token in [&first, &second] {
        mounted.opens(token).await;
    }
    let published = mounted.auth.client().get("/certs/bundle.pem").send().await;
    let published = String::from_utf8(published.expect(200).body.to_vec()).unwrap();
    for pair in [&one, &two] {
        assert!(
            published.contains(pair.certificate_pem().trim()),
            "{published}"
        );
    }

    // Half of a pair: the other half may be on its way, but is not.
    mounted.replace(&three.key_pem(), &two.certificate_pem());
    let line = mounted
        .auth
        .logs(&["the old mounted signing key stays in use"])
        .await;
    assert!(
        line.contains("token.crt") && line.contains("does not belong"),
        "{line}"
    );
    mounted.signs_with(&two).await;
    mounted.auth.answers("/readyz", 200).await;

    // By the change of the files alone.
    mounted.replace(&three.key_pem(), &three.certificate_pem());
    let third = mounted.signs_with(&three).await;
    for token in [&first, &second, &third] {
        mounted.opens(token).await;
    }
}
