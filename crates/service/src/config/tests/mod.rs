//! The loader, on a configuration shaped like distribution's.

mod accepted;
mod properties;
mod refused;
mod secrets;

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::{ConfigError, Duration, Obsolete, Source, Warning, load};
use crate::client_address::TrustedProxies;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    version: String,
    log: Log,
    http: Http,
    storage: Storage,
    auth: Option<Auth>,
    catalog: Catalog,
    proxies: Vec<Upstream>,
    #[serde(deserialize_with = "not_here")]
    redis: (),
}

/// How a server refuses a key that it knows and does not follow.
fn not_here<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom("there is no cache to put there"))
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    level: crate::telemetry::Level,
    fields: BTreeMap<String, String>,
    accesslog: AccessLog,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: crate::telemetry::Level::Info,
            fields: BTreeMap::new(),
            accesslog: AccessLog::default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AccessLog {
    disabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Http {
    addr: String,
    secret: Option<SecretString>,
    draintimeout: Option<Duration>,
    headers: BTreeMap<String, Vec<String>>,
    tls: Option<Tls>,
    trusted_proxies: TrustedProxies,
    // Both a key and the beginning of another: variables must find the longer one.
    trusted: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: String,
    key: String,
    #[serde(default)]
    clientcas: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Storage {
    filesystem: Option<Filesystem>,
    delete: Enabled,
    maintenance: Maintenance,
    cache: Cache,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filesystem {
    rootdirectory: String,
    #[serde(default = "hundred")]
    maxthreads: u16,
}

fn hundred() -> u16 {
    100
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Maintenance {
    uploadpurging: Purging,
    readonly: Enabled,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Purging {
    enabled: bool,
    age: Duration,
}

impl Default for Purging {
    fn default() -> Self {
        Self {
            enabled: true,
            age: Duration::from_secs(168 * 3600),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cache {
    layerinfo: Obsolete,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Auth {
    Token {
        realm: String,
        service: String,
        #[serde(default)]
        autoredirect: bool,
    },
    Htpasswd(Htpasswd),
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Htpasswd {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Catalog {
    maxentries: i32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    host: String,
    password: Option<SecretString>,
    ttl: Option<Duration>,
}

/// Loads from a file with this text (if any) and these variables.
fn load_from(
    text: Option<&str>,
    variables: &[(&str, &str)],
) -> Result<(Settings, Vec<Warning>), ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let mut source = Source::new("REGISTRY")
        .variables(variables.iter().copied())
        .secrets(["http.secret", "proxies.*.password"])
        .ignore(["REGISTRY_CONFIGURATION_PATH"]);
    if let Some(text) = text {
        let path = directory.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        source = source.file(path);
    }
    load(&source)
}

fn accept(text: &str, variables: &[(&str, &str)]) -> Settings {
    let (settings, warnings) =
        load_from(Some(text), variables).unwrap_or_else(|error| panic!("refused:\n{error}"));
    assert_eq!(warnings, []);
    settings
}

/// The whole message of a refusal, with the file's directory left out.
fn refuse(text: &str, variables: &[(&str, &str)]) -> String {
    let error = load_from(Some(text), variables).map_or_else(
        |error| error.to_string(),
        |(settings, _)| panic!("accepted: {settings:?}"),
    );
    error
        .lines()
        .map(|line| match line.find("config.yml") {
            Some(start) if line.starts_with('/') => &line[start..],
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}
