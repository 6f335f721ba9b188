//! The configuration: distribution's format with a few keys of our own.
//! <https://distribution.github.io/distribution/about/configuration/>
//!
//! [`Configuration`] mirrors the file, key by key; the loader of [`service::config`] fills it from
//! the file and from `REGISTRY_…`, and refuses unknown keys. [`Settings`](settings::Settings) is
//! what the server works with: everything is checked, and nothing is left to be decided.
//!
//! Our own keys: `database`, `uploads`, `storage.reserve`, `storage.maintenance.setaside`,
//! `http.trustedproxies`, `http.idletimeout`, `auth.token.uploadgrace`.
//! Keys that cannot be followed are in [`refused`], those that there is nothing to do for in
//! [`unneeded`].

mod health;
#[cfg(test)]
mod in_the_wild_tests;
mod refused;
mod settings;
mod size;
mod storage;
#[cfg(test)]
mod tests;
mod unneeded;

use std::collections::BTreeMap;
use std::path::PathBuf;

use database::DatabaseUrl;
use serde::Deserialize;
use serde::de::IgnoredAny;
use service::client_address::TrustedProxies;
use service::config::{Duration, Obsolete};
use service::server::{DebugSettings, TlsSettings};
use service::telemetry::{Format, Level};

use self::size::Size;
use crate::oci::Platform;

pub use self::health::{FileCheck, Health, HealthSettings, HttpCheck, TcpCheck};
pub use self::settings::{
    Access, InvalidSettings, LocationBase, PasswordSettings, Purging, Realm, Settings,
    StorageCheck, TokenSettings, WebSettings,
};
pub use self::storage::{
    Deletion, Filesystem, Maintenance, ReadOnly, SetAside, Storage, UploadPurging,
};

/// The sections and keys that a change of the file is followed in without a restart.
pub const LIVE_SETTINGS: [&str; 7] = [
    "log.level",
    "log.accesslog",
    "storage.delete",
    "storage.maintenance.readonly",
    "storage.reserve",
    "uploads",
    "validation",
];

const HOUR: u64 = 60 * 60;

/// The file, as it is written.
#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    reason = "some fields do all their work while they are read: they refuse, or warn"
)]
pub struct Configuration {
    pub version: Version,
    #[serde(default)]
    pub log: Log,
    pub storage: Storage,
    /// Who may come in. There is no default: a registry that lets everybody in must say
    /// `auth: none`.
    #[serde(default)]
    pub auth: Option<Auth>,
    #[serde(default)]
    pub http: Http,
    #[serde(default)]
    pub database: Database,
    #[serde(default)]
    pub health: Health,
    #[serde(default)]
    pub uploads: Uploads,
    #[serde(default)]
    pub validation: Validation,
    #[serde(default)]
    pub catalog: Catalog,
    #[serde(default)]
    pub tags: Tags,

    #[serde(default, deserialize_with = "refused::proxy")]
    proxy: (),
    #[serde(default, deserialize_with = "refused::notifications")]
    notifications: (),
    #[serde(default, deserialize_with = "refused::redis")]
    redis: (),
    #[serde(default, deserialize_with = "refused::middleware")]
    middleware: (),
    // Keys without a meaning here; the loader warns of them. The first three are of version 2 and
    // what is written for it: images of schema 1 are refused when they are pushed, and `cache` is
    // where a document of GitLab's images has `storage.cache`.
    #[serde(default)]
    compatibility: Obsolete,
    #[serde(default)]
    cache: Obsolete,
    #[serde(default)]
    profiling: Obsolete,
    // Of GitLab's own registry.
    #[serde(default)]
    gc: Obsolete,
    #[serde(default)]
    loglevel: Obsolete,
    #[serde(default)]
    reporting: Obsolete,
    #[serde(default)]
    policy: Obsolete,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Version {
    #[default]
    #[serde(rename = "0.1")]
    V0_1,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Log {
    pub level: Level,
    pub formatter: Format,
    /// Put into every line of the log.
    pub fields: BTreeMap<String, String>,
    pub accesslog: AccessLog,
    hooks: Obsolete,
    reportcaller: Obsolete,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AccessLog {
    pub disabled: bool,
}

/// One way to come in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    Token(Token),
    /// Everybody may do everything.
    None,
    Htpasswd(Htpasswd),
    #[serde(deserialize_with = "refused::silly")]
    Silly(()),
}

/// Users and their passwords in a file; each of them may do everything.
#[derive(Debug, Deserialize)]
pub struct Htpasswd {
    /// What browsers and people are told to log in to.
    pub realm: String,
    /// Made, with one user, if it is not there.
    pub path: PathBuf,
}

#[derive(Debug, Deserialize)]
pub struct Token {
    /// Where clients get tokens: an absolute URL. Not needed with `autoredirect`.
    #[serde(default)]
    pub realm: Option<String>,
    /// What a token's `aud` must be.
    pub service: String,
    /// What a token's `iss` must be.
    pub issuer: String,
    /// Certificates whose keys sign tokens, PEM.
    #[serde(default)]
    pub rootcertbundle: Option<PathBuf>,
    /// A key set: a file, or (our extension) an `http` or `https` URL that is read again and again.
    #[serde(default)]
    pub jwks: Option<String>,
    /// Takes the realm from the host that the client asked.
    #[serde(default)]
    pub autoredirect: bool,
    #[serde(default = "autoredirect_path")]
    pub autoredirectpath: String,
    #[serde(default)]
    pub signingalgorithms: Vec<String>,
    /// How long after its token's expiry an upload may go on.
    #[serde(default = "upload_grace")]
    pub uploadgrace: Duration,
}

fn autoredirect_path() -> String {
    "/auth/token".to_owned()
}

fn upload_grace() -> Duration {
    Duration::from_secs(2 * HOUR)
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Http {
    pub addr: String,
    pub net: Net,
    /// Everything is below this path.
    pub prefix: String,
    /// The URL that clients see; `Location` and the realm are built from it.
    pub host: Option<String>,
    /// Whether `Location` leaves scheme and host to the client. On by default, unless `host` is
    /// set: nothing can go wrong with it behind a proxy.
    pub relativeurls: Option<bool>,
    pub draintimeout: Duration,
    /// Put on every answer.
    pub headers: BTreeMap<String, Vec<String>>,
    pub tls: Option<TlsSettings>,
    pub debug: DebugSettings,
    /// Addresses and networks of proxies whose `Forwarded` and `X-Forwarded-…` are believed.
    pub trustedproxies: TrustedProxies,
    /// The longest pause a client may make while it sends a body.
    pub idletimeout: Duration,
    pub sendfile: Sendfile,

    pub http2: Http2,
    pub h2c: H2c,

    secret: Option<IgnoredAny>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            addr: ":5000".to_owned(),
            net: Net::default(),
            prefix: "/".to_owned(),
            host: None,
            relativeurls: None,
            draintimeout: Duration::from_secs(60),
            headers: BTreeMap::from([(
                "X-Content-Type-Options".to_owned(),
                vec!["nosniff".to_owned()],
            )]),
            tls: None,
            debug: DebugSettings::default(),
            trustedproxies: TrustedProxies::default(),
            idletimeout: Duration::from_secs(60),
            sendfile: Sendfile::default(),
            http2: Http2::default(),
            h2c: H2c::default(),
            secret: None,
        }
    }
}

/// Leaving the bytes of blobs to a proxy in front that can read the files.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sendfile {
    /// How the proxy is told; not set: not at all.
    pub header: Option<SendfileHeader>,
    /// What a blob's path is put behind: nginx's internal location, or the folder of blobs as Apache
    /// sees it.
    pub root: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SendfileHeader {
    /// nginx.
    #[serde(rename = "X-Accel-Redirect", alias = "x-accel-redirect")]
    XAccelRedirect,
    /// Apache with `mod_xsendfile`, lighttpd.
    #[serde(rename = "X-Sendfile", alias = "x-sendfile")]
    XSendfile,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    #[default]
    Tcp,
    Unix,
}

/// HTTP/2 over TLS.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Http2 {
    pub disabled: bool,
}

/// HTTP/2 without TLS.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct H2c {
    pub enabled: bool,
}

/// Where the metadata is.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://…`. By default `registry.sqlite` in the root directory of the
    /// storage.
    pub url: Option<DatabaseUrl>,
    /// The greatest number of connections.
    pub connections: u16,
    /// GitLab's own registry has its metadata in a section of this name, too: only `false` is
    /// taken.
    #[serde(deserialize_with = "refused::gitlab_database")]
    pub enabled: (),
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            connections: 16,
            enabled: (),
        }
    }
}

/// What clients may leave behind.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Uploads {
    /// What one subject may hold in uploads that are not finished; 0: no bound.
    pub maxheld: Size,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            maxheld: Size::from_gib(256),
        }
    }
}

/// Which manifests are accepted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Validation {
    /// The rest of the section is not followed. Images must be complete all the same.
    pub disabled: bool,
    /// What version 2 had in the place of `disabled`.
    enabled: Obsolete,
    pub manifests: ManifestValidation,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ManifestValidation {
    pub urls: UrlValidation,
    pub indexes: IndexValidation,
}

/// The URLs that manifests may name as places of content: regular expressions. Without any, none
/// is accepted, as in distribution.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct UrlValidation {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct IndexValidation {
    pub platforms: IndexPlatforms,
    pub platformlist: Vec<Platform>,
}

/// Whose images an index must find in its repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexPlatforms {
    All,
    /// None: an index may be sparse.
    #[default]
    None,
    /// Those of `platformlist`; if it is empty, as in distribution, all.
    List,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Catalog {
    /// The longest page.
    pub maxentries: u32,
}

impl Default for Catalog {
    fn default() -> Self {
        Self { maxentries: 1_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Tags {
    /// The longest page.
    pub maxtags: u32,
}

impl Default for Tags {
    fn default() -> Self {
        Self { maxtags: 1_000 }
    }
}
