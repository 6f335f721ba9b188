//! What can be seen of a deployment from its own machine, with the configuration of its servers.
//!
//! Who calls has read the configuration, and hands over what of it matters here. [`keys`]: which
//! certificate is where it should be. [`pairing`]: whether the two servers agree. [`storage`] and
//! [`records`]: whether bytes and rows can be kept.

mod keys;
mod pairing;
mod records;
mod storage;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use database::{DatabaseUrl, Schema};
use registry_token::{Algorithm, KeyLocation, TrustedKeys};
use url::Url;

use crate::certificate::{Certificate, MAX_FILE, PemFile, read_pem};
use crate::files::{self, Unusable};
use crate::http::{Clock, Http};
use crate::reach::reach;
use crate::realm;
use crate::report::{Report, Verdict};
use crate::token::Belief;
use crate::trust::Trust;

pub use self::keys::Pair;

/// A registry's configuration, as far as it matters here.
#[derive(Clone, Debug)]
pub struct RegistrySide {
    /// `None`: it does not work with tokens.
    pub tokens: Option<TokenSide>,
    pub tls: Option<Pair>,
    /// Also with a certificate that it orders by itself, which is no pair of files.
    pub serves_https: bool,
    pub storage: Storage,
    pub database: DatabaseUrl,
    pub schema: Schema,
    /// `http.host`
    pub host: Option<String>,
    /// Whether `Location` is built from what a request says.
    pub location_from_request: bool,
    /// Whether any proxy is believed.
    pub trusts_proxies: bool,
}

/// Where the blobs are.
#[derive(Clone, Debug)]
pub struct Storage {
    pub folder: PathBuf,
    /// For maintenance: nothing is to be written.
    pub read_only: bool,
}

/// `auth.token`
#[derive(Clone, Debug)]
pub struct TokenSide {
    /// `None`: on the host that the client asked.
    pub realm: Option<String>,
    pub service: String,
    pub issuer: String,
    pub bundle: Option<PathBuf>,
    pub jwks: Option<KeyLocation>,
    pub algorithms: Vec<Algorithm>,
}

/// An auth-server's configuration, as far as it matters here.
#[derive(Clone, Debug)]
pub struct AuthSide {
    pub issuer: String,
    pub services: Vec<String>,
    /// The certificates of the keys that sign. `None`: it publishes them by HTTP alone.
    pub bundle: Option<PathBuf>,
    /// Where its own keys are.
    pub folder: Option<PathBuf>,
    /// A key pair of somebody else's making.
    pub mounted: Option<Pair>,
    pub tls: Option<Pair>,
    pub database: DatabaseUrl,
    pub schema: Schema,
}

/// What to look at.
#[derive(Clone, Debug)]
pub struct Inside {
    pub registry: Option<RegistrySide>,
    pub auth: Option<AuthSide>,
    /// Certificates that servers show, with where they do.
    pub served: Vec<(String, Certificate)>,
    pub trust: Trust,
    pub clock: Clock,
    /// Whether the realm is to be tried from here; who looks from outside does so anyway.
    pub try_realm: bool,
    /// Whether this is a container, which has names, networks and authorities of its own.
    pub in_container: bool,
}

/// What was read on the way.
struct Files {
    registry_tls: Option<keys::PairFiles>,
    auth_tls: Option<keys::PairFiles>,
    mounted: Option<keys::PairFiles>,
    /// What signs tokens, as the auth-server publishes it.
    auth_bundle: Option<Result<PemFile, Unusable>>,
    registry_bundle: Option<Result<PemFile, Unusable>>,
}

/// Everything that can be seen from here, causes first; and what the registry believes.
pub async fn examine(inside: &Inside, report: &mut Report) -> Option<Belief> {
    let http = Http::new(&inside.trust, inside.clock).ok()?;
    let now = http.now();
    let files = Files::read(inside);
    let tls = files.server_certificates(inside);
    let signers = files.signers();
    examine_tls(inside, &files, &signers, now, report);
    if let Some(auth) = &inside.auth {
        let pair = auth.mounted.as_ref().zip(files.mounted.as_ref());
        let verdict = keys::signing(auth, pair, &tls);
        report.add("auth.keys", verdict);
        if auth.mounted.is_none()
            && let (Some(path), Some(read)) = (&auth.bundle, &files.auth_bundle)
        {
            report.add("auth.bundle", keys::published(path, read, now));
        }
    }
    let mut belief = None;
    if let Some(registry) = &inside.registry {
        if let Some(tokens) = &registry.tokens {
            belief = examine_belief(tokens, &files, &tls, &signers, &http, report).await;
            if let Some(auth) = &inside.auth {
                pair_up(auth, tokens, belief.as_ref(), &files, report);
            }
            examine_realm(inside, tokens, &http, report).await;
        }
        report.add("registry.location", pairing::location(registry));
        storage::examine(&registry.storage, report);
        let found = database::inspect::inspect(
            &registry.database,
            registry.schema.sqlite,
            registry.schema.postgres,
        );
        report.add(
            "registry.database",
            records::verdict(&registry.database, &found.await),
        );
    }
    if let Some(auth) = &inside.auth {
        let schema = auth.schema;
        let found = database::inspect::inspect(&auth.database, schema.sqlite, schema.postgres);
        report.add(
            "auth.database",
            records::verdict(&auth.database, &found.await),
        );
    }
    belief
}

impl Files {
    fn read(inside: &Inside) -> Self {
        let pair = |pair: &Pair| keys::PairFiles::read(pair);
        let registry = inside.registry.as_ref();
        let auth = inside.auth.as_ref();
        let bundle = registry
            .and_then(|registry| registry.tokens.as_ref())
            .and_then(|tokens| tokens.bundle.as_ref());
        Self {
            registry_tls: registry.and_then(|side| side.tls.as_ref()).map(pair),
            auth_tls: auth.and_then(|side| side.tls.as_ref()).map(pair),
            mounted: auth.and_then(|side| side.mounted.as_ref()).map(pair),
            auth_bundle: auth
                .and_then(|auth| auth.bundle.as_ref())
                .map(|path| read_pem(path)),
            registry_bundle: bundle.map(|path| read_pem(path)),
        }
    }

    /// The certificates that servers show, or are about to.
    fn server_certificates(&self, inside: &Inside) -> Vec<(String, Certificate)> {
        let of = |label: &str, files: &Option<keys::PairFiles>| {
            let leaf = files.as_ref()?.leaf()?;
            Some((label.to_owned(), leaf.clone()))
        };
        let configured = [
            of("the registry's `http.tls.certificate`", &self.registry_tls),
            of("the auth-server's `http.tls.certificate`", &self.auth_tls),
        ];
        let configured = configured.into_iter().flatten();
        configured.chain(inside.served.iter().cloned()).collect()
    }

    /// The certificates of keys that sign tokens, as far as they are known.
    fn signers(&self) -> Vec<Certificate> {
        let mounted = self.mounted.as_ref().and_then(keys::PairFiles::leaf);
        if let Some(leaf) = mounted {
            return vec![leaf.clone()];
        }
        match &self.auth_bundle {
            Some(Ok(file)) => file.certificates.clone(),
            _ => Vec::new(),
        }
    }
}

fn examine_tls(
    inside: &Inside,
    files: &Files,
    signers: &[Certificate],
    now: DateTime<Utc>,
    report: &mut Report,
) {
    let registry = inside.registry.as_ref().and_then(|side| side.tls.as_ref());
    let auth = inside.auth.as_ref().and_then(|side| side.tls.as_ref());
    // With the registry alone, its bundle says what signs tokens.
    let believed = match (&files.registry_bundle, signers) {
        (Some(Ok(bundle)), []) => bundle.certificates.clone(),
        _ => signers.to_vec(),
    };
    for (check, pair, read) in [
        ("registry.certificate", registry, &files.registry_tls),
        ("auth.certificate", auth, &files.auth_tls),
    ] {
        if let (Some(pair), Some(read)) = (pair, read) {
            report.add(
                check,
                keys::server_pair(pair, read, &believed, &inside.trust, now),
            );
        }
    }
}

/// The keys that the registry believes, from wherever they are.
async fn examine_belief(
    tokens: &TokenSide,
    files: &Files,
    tls: &[(String, Certificate)],
    signers: &[Certificate],
    http: &Http,
    report: &mut Report,
) -> Option<Belief> {
    let mut trusted = TrustedKeys::none();
    let mut sources = Vec::new();
    let mut broken = false;
    if let (Some(path), Some(read)) = (&tokens.bundle, &files.registry_bundle) {
        let verdict = keys::bundle(path, read, tls, signers, http.now());
        broken |= report.add("registry.bundle", verdict);
        trusted = trusted.merge(bundled(path, read));
        sources.push(path.display().to_string());
    }
    if let Some(location) = &tokens.jwks {
        let read = keys::read_jwks(location, http).await;
        broken |= report.add("registry.jwks", keys::jwks(location, &read));
        if let Ok(keys) = read {
            trusted = trusted.merge(keys);
        }
        sources.push(location.to_string());
    }
    // A wrong certificate is named already; that it signs no token follows.
    if broken && trusted.is_empty() {
        return None;
    }
    Some(Belief {
        issuer: tokens.issuer.clone(),
        service: tokens.service.clone(),
        algorithms: tokens.algorithms.clone(),
        keys: trusted,
        source: sources.join(" or "),
    })
}

/// The keys in a bundle, if it could be read as one.
fn bundled(path: &Path, read: &Result<PemFile, Unusable>) -> TrustedKeys {
    let text = read
        .as_ref()
        .ok()
        .and_then(|_| files::read(path, MAX_FILE).ok());
    TrustedKeys::from_bundle_pem(&text.unwrap_or_default()).unwrap_or_default()
}

fn pair_up(
    auth: &AuthSide,
    tokens: &TokenSide,
    belief: Option<&Belief>,
    files: &Files,
    report: &mut Report,
) {
    report.add(
        "pairing.service",
        pairing::service(&auth.services, &tokens.service),
    );
    let issuer = crate::token::issuer_verdict(&auth.issuer, &tokens.issuer);
    report.add("pairing.issuer", issuer);
    if let Some(realm) = &tokens.realm {
        report.add("pairing.realm", pairing::realm(realm));
    }
    let (Some(path), Some(read)) = (&auth.bundle, &files.auth_bundle) else {
        let because = "the auth-server writes its keys nowhere but into the database";
        report.add("pairing.keys", Verdict::skipped(because));
        return;
    };
    if read.is_err() {
        let because = "because auth.bundle cannot be read";
        report.add("pairing.keys", Verdict::skipped(because));
        return;
    }
    let Some(belief) = belief else {
        report.add(
            "pairing.keys",
            Verdict::skipped("because registry.bundle failed"),
        );
        return;
    };
    let signers = bundled(path, read);
    report.add("pairing.keys", pairing::keys(&signers, belief));
    report.add("pairing.algorithm", pairing::algorithm(&signers, belief));
}

/// The realm from the registry's host: what cannot be reached from here is often a name that only
/// clients know, or only containers.
async fn examine_realm(inside: &Inside, tokens: &TokenSide, http: &Http, report: &mut Report) {
    let Some(text) = tokens.realm.as_ref().filter(|_| inside.try_realm) else {
        return;
    };
    let Ok(url) = Url::parse(text) else { return };
    let host = inside.registry.as_ref().and_then(|side| side.host.as_ref());
    if let Some(registry) = host.and_then(|host| Url::parse(host).ok()) {
        report.add("realm.url", realm::url_verdict(&registry, &url));
    }
    let mut way = Report::default();
    let reached = reach("realm", &url, &inside.trust, http.now(), &mut way).await;
    if inside.in_container
        && let Some(wrong) = way.first()
    {
        let host = url.host_str().unwrap_or_default();
        let verdict = Verdict::skipped(format!(
            "{host} is not seen from this container as by clients: {}",
            wrong.verdict.message
        ));
        let fix = "nothing, if clients reach it: run doctor with --registry where they are";
        report.add("realm.from-registry", verdict.unless(fix));
        return;
    }
    report.append(way);
    if let Some(because) = &reached.blocked {
        report.add(
            "realm.answer",
            Verdict::skipped(format!("because {because}")),
        );
        return;
    }
    let mut asked = url.clone();
    asked
        .query_pairs_mut()
        .append_pair("service", &tokens.service);
    let answer = http.send(http.look(&asked)).await;
    report.add(
        "realm.answer",
        realm::answer_verdict(&answer, &url, &tokens.service),
    );
}
