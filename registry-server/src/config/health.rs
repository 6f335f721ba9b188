//! The section `health`: what is watched, beside the database and the keys, and what comes of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration as StdDuration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use service::config::Duration;
use url::Url;

use super::settings::{InvalidSettings, StorageCheck, invalid, positive};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Ours: whether a registry that cannot be written is as bad as one that cannot be read.
    pub strict: bool,
    pub storagedriver: StorageHealth,
    /// Files that say the registry is out of order as long as they exist.
    pub file: Vec<FileHealth>,
    /// Servers that must answer.
    pub http: Vec<HttpHealth>,
    /// Servers that must accept connections.
    pub tcp: Vec<TcpHealth>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct StorageHealth {
    pub enabled: bool,
    pub interval: Duration,
    pub threshold: u32,
}

impl Default for StorageHealth {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: INTERVAL,
            threshold: 3,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct FileHealth {
    pub file: PathBuf,
    #[serde(default = "interval")]
    pub interval: Duration,
}

#[derive(Debug, Deserialize)]
pub struct HttpHealth {
    pub uri: String,
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    #[serde(default = "ok")]
    pub statuscode: u16,
    #[serde(default = "timeout")]
    pub timeout: Duration,
    #[serde(default = "interval")]
    pub interval: Duration,
    #[serde(default)]
    pub threshold: u32,
}

#[derive(Debug, Deserialize)]
pub struct TcpHealth {
    pub addr: String,
    #[serde(default = "timeout")]
    pub timeout: Duration,
    #[serde(default = "interval")]
    pub interval: Duration,
    #[serde(default)]
    pub threshold: u32,
}

/// distribution's.
const INTERVAL: Duration = Duration::from_secs(10);

fn interval() -> Duration {
    INTERVAL
}

fn timeout() -> Duration {
    Duration::from_secs(5)
}

fn ok() -> u16 {
    200
}

/// What is watched, with everything checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthSettings {
    pub storage: Option<StorageCheck>,
    pub files: Vec<FileCheck>,
    pub http: Vec<HttpCheck>,
    pub tcp: Vec<TcpCheck>,
}

/// A file that must not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    pub path: PathBuf,
    pub interval: StdDuration,
}

/// A server that must answer `HEAD`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub status: StatusCode,
    pub timeout: StdDuration,
    pub interval: StdDuration,
    pub threshold: u32,
}

/// A server that must accept connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpCheck {
    pub address: String,
    pub timeout: StdDuration,
    pub interval: StdDuration,
    pub threshold: u32,
}

impl HealthSettings {
    pub(super) fn new(health: &Health) -> Result<Self, InvalidSettings> {
        let storage = &health.storagedriver;
        let storage = storage
            .enabled
            .then(|| {
                Ok(StorageCheck {
                    interval: positive("health.storagedriver.interval", storage.interval)?.get(),
                    threshold: storage.threshold,
                })
            })
            .transpose()?;
        let files = health.file.iter().map(|check| {
            if check.file.as_os_str().is_empty() {
                return Err(invalid("health.file", "name a file"));
            }
            Ok(FileCheck {
                path: check.file.clone(),
                interval: positive("health.file.interval", check.interval)?.get(),
            })
        });
        Ok(Self {
            storage,
            files: files.collect::<Result<_, _>>()?,
            http: health.http.iter().map(http).collect::<Result<_, _>>()?,
            tcp: health.tcp.iter().map(tcp).collect::<Result<_, _>>()?,
        })
    }
}

fn http(check: &HttpHealth) -> Result<HttpCheck, InvalidSettings> {
    let url = Url::parse(&check.uri)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| invalid("health.http.uri", "must be an http or https URL"))?;
    Ok(HttpCheck {
        url,
        headers: super::settings::headers("health.http.headers", &check.headers)?,
        status: StatusCode::from_u16(check.statuscode)
            .map_err(|_| invalid("health.http.statuscode", "is no HTTP status"))?,
        timeout: positive("health.http.timeout", check.timeout)?.get(),
        interval: positive("health.http.interval", check.interval)?.get(),
        threshold: check.threshold,
    })
}

fn tcp(check: &TcpHealth) -> Result<TcpCheck, InvalidSettings> {
    let port = check.addr.rsplit_once(':').map(|(_, port)| port);
    if port.is_none_or(|port| port.parse::<u16>().is_err()) {
        let problem = format!("{:?} is not of the form `HOST:PORT`", check.addr);
        return Err(invalid("health.tcp.addr", problem));
    }
    Ok(TcpCheck {
        address: check.addr.clone(),
        timeout: positive("health.tcp.timeout", check.timeout)?.get(),
        interval: positive("health.tcp.interval", check.interval)?.get(),
        threshold: check.threshold,
    })
}
