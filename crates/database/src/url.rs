//! [`DatabaseUrl`]: where a database is.

use std::path::PathBuf;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

/// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST[:PORT]/DATABASE`.
///
/// `Debug` and [`described`](Self::described) leave the password out.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(SecretString),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidDatabaseUrl {
    #[error("expected `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
    Scheme,
    #[error("`sqlite:` needs the path of a file; data that must last cannot live in memory")]
    NoPath,
    #[error("not a URL: {0}")]
    Syntax(#[from] url::ParseError),
}

impl DatabaseUrl {
    /// The URL as it may be logged.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(secret) => match url::Url::parse(secret.expose_secret()) {
                Ok(url) => format!(
                    "postgres://{}{}",
                    url.host_str().unwrap_or_default(),
                    url.path()
                ),
                Err(_) => "postgres:".to_owned(),
            },
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            // `sqlite:///absolute` and `sqlite://relative` are what other tools write.
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.contains(":memory:") {
                return Err(InvalidDatabaseUrl::NoPath);
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            url::Url::parse(text)?;
            return Ok(Self::Postgres(text.into()));
        }
        Err(InvalidDatabaseUrl::Scheme)
    }
}

impl<'de> serde::Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
