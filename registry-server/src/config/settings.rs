//! [`Settings`]: the configuration after every check, with nothing left to be decided.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use database::DatabaseUrl;
use registry_token::{Algorithm, KeyLocation};
use service::client_address::PathPrefix;

use super::{
    Auth, Configuration, HealthSettings, Htpasswd, IndexPlatforms, Net, Sendfile, SendfileHeader,
    Size, Token, UploadPurging,
};
use crate::blob_store::blob_folder;
use crate::http::Handover;
use crate::registry::{IndexRules, Rules, UploadRules, UrlRules};

/// What the server works with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Blobs are at `docker/registry/v2/blobs` below it.
    pub storage_root: PathBuf,
    pub database: DatabaseUrl,
    pub database_connections: u32,
    pub access: Access,
    pub rules: Rules,
    pub web: WebSettings,
    /// How long uploads may stand still.
    pub upload_age: Duration,
    /// How those that do are purged, if they are.
    pub purging: Option<Purging>,
    /// How long blobs that the database does not know are kept out of the way.
    pub keep_aside: Duration,
    /// What is watched.
    pub health: HealthSettings,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody, for everything.
    Open,
    Tokens(Box<TokenSettings>),
    /// Who is in a file.
    Passwords(PasswordSettings),
}

/// Users and their passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordSettings {
    pub realm: String,
    pub path: PathBuf,
}

/// Which tokens are believed, and where clients get them.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    pub realm: Realm,
    pub service: String,
    pub issuer: String,
    /// Certificates whose keys sign tokens, PEM.
    pub bundle: Option<PathBuf>,
    /// A key set.
    pub jwks: Option<KeyLocation>,
    pub algorithms: Vec<Algorithm>,
    /// How long an upload may go on after its token has expired.
    pub upload_grace: Duration,
}

/// Where clients get tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// At this URL.
    Fixed(String),
    /// At this path of the host that the client asked.
    SameHost(String),
}

/// How the API presents itself.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Everything is below this path; empty, or `/` and segments.
    pub prefix: PathPrefix,
    pub location: LocationBase,
    /// Put on every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The longest pause a client may make while it sends a body.
    pub idle_timeout: Duration,
    /// How a proxy sends blobs in our place, if it does.
    pub handover: Option<Handover>,
    /// The longest page of a list of tags, and of the catalog.
    pub max_tags: u32,
    pub max_entries: u32,
}

/// What `Location` and `Link` begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationBase {
    /// Nothing: clients complete it from the URL they asked.
    Relative,
    /// This URL, without a slash at the end.
    Fixed(String),
    /// What the client, or a trusted proxy, says it asked.
    FromRequest,
}

/// What becomes of uploads that nobody goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purging {
    pub age: Duration,
    pub interval: Duration,
    pub dry_run: bool,
}

/// How the storage is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageCheck {
    pub interval: Duration,
    pub threshold: u32,
}

/// A value that is well-formed and cannot be followed. Names its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidSettings {
    pub key: &'static str,
    pub problem: String,
}

pub(super) fn invalid(key: &'static str, problem: impl Into<String>) -> InvalidSettings {
    InvalidSettings {
        key,
        problem: problem.into(),
    }
}

impl Settings {
    /// Checks a configuration as a whole.
    pub fn new(configuration: &Configuration) -> Result<Self, InvalidSettings> {
        let storage = &configuration.storage;
        let storage_root = storage.filesystem.rootdirectory.clone();
        if storage_root.as_os_str().is_empty() {
            return Err(invalid(
                "storage.filesystem.rootdirectory",
                "name a folder: blobs are kept there",
            ));
        }
        address(configuration.http.net, &configuration.http.addr)?;
        let database = configuration
            .database
            .url
            .clone()
            .unwrap_or_else(|| DatabaseUrl::Sqlite(storage_root.join("registry.sqlite")));
        Ok(Self {
            database,
            database_connections: positive(
                "database.connections",
                configuration.database.connections,
            )?
            .into(),
            access: access(configuration.auth.as_ref())?,
            rules: rules(configuration)?,
            web: web(configuration)?,
            upload_age: storage.maintenance.uploadpurging.age.get(),
            purging: purging(&storage.maintenance.uploadpurging)?,
            keep_aside: storage.maintenance.setaside.age.get(),
            health: HealthSettings::new(&configuration.health)?,
            storage_root,
        })
    }
}

/// What cannot be an address is said before anything is opened; what is none in the end, when the
/// server starts to listen.
fn address(net: Net, address: &str) -> Result<(), InvalidSettings> {
    let port = match net {
        Net::Unix => return Ok(()),
        Net::Tcp => address.rsplit_once(':').map(|(_, port)| port),
    };
    match port {
        Some(port) if port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(invalid(
            "http.addr",
            format!("{address:?} is not of the form `HOST:PORT` or `:PORT`"),
        )),
    }
}

pub(super) fn positive<N: Copy + Default + PartialEq>(
    key: &'static str,
    number: N,
) -> Result<N, InvalidSettings> {
    if number == N::default() {
        return Err(invalid(key, "must be 1 at least"));
    }
    Ok(number)
}

fn access(auth: Option<&Auth>) -> Result<Access, InvalidSettings> {
    match auth {
        None => Err(invalid(
            "auth",
            "nobody could come in: set `auth.token` or `auth.htpasswd`, or say `auth: none` to let \
             everybody do everything",
        )),
        Some(Auth::None) => Ok(Access::Open),
        Some(Auth::Token(token)) => Ok(Access::Tokens(Box::new(tokens(token)?))),
        Some(Auth::Htpasswd(file)) => Ok(Access::Passwords(passwords(file)?)),
        // Its deserialization has failed already.
        Some(Auth::Silly(())) => Err(invalid("auth", "`silly` is not supported")),
    }
}

fn passwords(file: &Htpasswd) -> Result<PasswordSettings, InvalidSettings> {
    if file.realm.is_empty() {
        return Err(invalid("auth.htpasswd.realm", "is empty"));
    }
    if file.path.as_os_str().is_empty() {
        return Err(invalid("auth.htpasswd.path", "name the file"));
    }
    Ok(PasswordSettings {
        realm: file.realm.clone(),
        path: file.path.clone(),
    })
}

fn tokens(token: &Token) -> Result<TokenSettings, InvalidSettings> {
    if token.service.is_empty() {
        return Err(invalid("auth.token.service", "is empty"));
    }
    if token.issuer.is_empty() {
        return Err(invalid("auth.token.issuer", "is empty"));
    }
    if token.rootcertbundle.is_none() && token.jwks.is_none() {
        return Err(invalid(
            "auth.token",
            "no key could be believed: set `rootcertbundle`, `jwks` or both",
        ));
    }
    let realm = match &token.realm {
        // As in distribution, the host that the client asked wins.
        _ if token.autoredirect => {
            if !token.autoredirectpath.starts_with('/') {
                return Err(invalid(
                    "auth.token.autoredirectpath",
                    "must begin with `/`",
                ));
            }
            Realm::SameHost(token.autoredirectpath.clone())
        }
        Some(realm) => {
            let url = url::Url::parse(realm)
                .map_err(|error| invalid("auth.token.realm", format!("not a URL: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err(invalid("auth.token.realm", "must be an http or https URL"));
            }
            Realm::Fixed(realm.clone())
        }
        None => {
            return Err(invalid(
                "auth.token.realm",
                "is missing: clients must learn where to get tokens. Or set `autoredirect: true`",
            ));
        }
    };
    let algorithms = if token.signingalgorithms.is_empty() {
        Algorithm::ALL.to_vec()
    } else {
        let parsed = token.signingalgorithms.iter().map(|name| {
            name.parse().map_err(|error| {
                invalid("auth.token.signingalgorithms", format!("{name:?}: {error}"))
            })
        });
        parsed.collect::<Result<_, _>>()?
    };
    Ok(TokenSettings {
        realm,
        service: token.service.clone(),
        issuer: token.issuer.clone(),
        bundle: token.rootcertbundle.clone(),
        jwks: token.jwks.as_deref().map(key_set).transpose()?,
        algorithms,
        upload_grace: token.uploadgrace.get(),
    })
}

/// distribution takes a path here; an issuer's own URL needs no copying.
fn key_set(text: &str) -> Result<KeyLocation, InvalidSettings> {
    if !text.contains("://") {
        return Ok(KeyLocation::JwksFile(PathBuf::from(text)));
    }
    url::Url::parse(text)
        .map(KeyLocation::JwksUrl)
        .map_err(|error| invalid("auth.token.jwks", format!("not a URL: {error}")))
}

fn rules(configuration: &Configuration) -> Result<Rules, InvalidSettings> {
    let validation = &configuration.validation;
    let indexes = &validation.manifests.indexes;
    let listed = &indexes.platformlist;
    let indexes = match indexes.platforms {
        _ if validation.disabled => IndexRules::Sparse,
        IndexPlatforms::None => IndexRules::Sparse,
        IndexPlatforms::List if !listed.is_empty() => IndexRules::Platforms(listed.clone()),
        IndexPlatforms::List | IndexPlatforms::All => IndexRules::Complete,
    };
    let urls = &validation.manifests.urls;
    let allow = patterns("validation.manifests.urls.allow", &urls.allow)?;
    let deny = patterns("validation.manifests.urls.deny", &urls.deny)?;
    let urls = match (allow.as_slice(), deny.as_slice()) {
        _ if validation.disabled => UrlRules::Any,
        ([], []) => UrlRules::None,
        _ => UrlRules::Matching { allow, deny },
    };
    Ok(Rules {
        deletion: configuration.storage.delete.enabled,
        read_only: configuration.storage.maintenance.readonly.enabled,
        indexes,
        urls,
        uploads: UploadRules {
            max_held: Some(configuration.uploads.maxheld.get()).filter(|bytes| *bytes > 0),
            reserve: configuration.storage.reserve.map(Size::get),
        },
    })
}

fn patterns(key: &'static str, patterns: &[String]) -> Result<Vec<regex::Regex>, InvalidSettings> {
    patterns
        .iter()
        .map(|pattern| {
            regex::Regex::new(pattern)
                .map_err(|error| invalid(key, format!("{pattern:?} is no pattern: {error}")))
        })
        .collect()
}

fn web(configuration: &Configuration) -> Result<WebSettings, InvalidSettings> {
    let http = &configuration.http;
    let prefix = PathPrefix::parse(&http.prefix)
        .ok_or_else(|| invalid("http.prefix", "must be a path such as `/` or `/registry/`"))?;
    let location = match (&http.host, http.relativeurls) {
        (_, Some(true)) | (None, None) => LocationBase::Relative,
        (Some(host), _) => {
            let url = url::Url::parse(host)
                .map_err(|error| invalid("http.host", format!("not a URL: {error}")))?;
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err(invalid("http.host", "must be an http or https URL"));
            }
            LocationBase::Fixed(host.trim_end_matches('/').to_owned())
        }
        (None, Some(false)) => LocationBase::FromRequest,
    };
    Ok(WebSettings {
        prefix,
        location,
        headers: headers("http.headers", &http.headers)?,
        idle_timeout: positive("http.idletimeout", http.idletimeout)?.get(),
        handover: handover(configuration)?,
        max_tags: positive("tags.maxtags", configuration.tags.maxtags)?,
        max_entries: positive("catalog.maxentries", configuration.catalog.maxentries)?,
    })
}

/// The location that the shipped configuration of nginx has.
const ACCEL_LOCATION: &str = "/.portcullis-blobs";

fn handover(configuration: &Configuration) -> Result<Option<Handover>, InvalidSettings> {
    let Sendfile { header, root } = &configuration.http.sendfile;
    let key = "http.sendfile.root";
    let Some(kind) = header else {
        return match root {
            None => Ok(None),
            Some(_) => Err(invalid(
                key,
                "has no effect without `http.sendfile.header`: set that to `X-Accel-Redirect` \
                 (nginx) or `X-Sendfile` (Apache)",
            )),
        };
    };
    if configuration.http.trustedproxies.is_empty() {
        return Err(invalid(
            "http.sendfile.header",
            "blobs are handed over to nobody but a trusted proxy: name it in `http.trustedproxies`",
        ));
    }
    let (header, root) = match kind {
        SendfileHeader::XAccelRedirect => (
            "x-accel-redirect",
            root.clone().unwrap_or_else(|| ACCEL_LOCATION.to_owned()),
        ),
        SendfileHeader::XSendfile => {
            let blobs = blob_folder(&configuration.storage.filesystem.rootdirectory);
            let blobs = || blobs.to_string_lossy().into_owned();
            ("x-sendfile", root.clone().unwrap_or_else(blobs))
        }
    };
    // The proxies take escapes for escapes.
    let is_plain = PathPrefix::parse(&root).is_some_and(|root| !root.as_str().is_empty());
    if !is_plain {
        return Err(invalid(
            key,
            format!(
                "{root:?} is no absolute path of letters, digits and `-._~`: where the proxy finds \
                 blobs"
            ),
        ));
    }
    Ok(Some(Handover::new(HeaderName::from_static(header), &root)))
}

pub(super) fn headers(
    key: &'static str,
    headers: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<(HeaderName, HeaderValue)>, InvalidSettings> {
    let mut checked = Vec::new();
    for (name, values) in headers {
        let header: HeaderName = name
            .parse()
            .map_err(|_| invalid(key, format!("{name:?} is no name of a header")))?;
        for value in values {
            let value = HeaderValue::from_str(value)
                .map_err(|_| invalid(key, format!("the value of {name} cannot be sent")))?;
            checked.push((header.clone(), value));
        }
    }
    Ok(checked)
}

fn purging(purging: &UploadPurging) -> Result<Option<Purging>, InvalidSettings> {
    if !purging.enabled {
        return Ok(None);
    }
    let key = "storage.maintenance.uploadpurging.interval";
    Ok(Some(Purging {
        age: purging.age.get(),
        interval: positive(key, purging.interval)?.get(),
        dry_run: purging.dryrun,
    }))
}
