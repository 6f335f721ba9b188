//! Hosts and path prefixes that may go into a URL or a header as they are.

use std::fmt;

use super::is_port;

/// A host with an optional port: `registry.example.com:5000`, `192.0.2.1`, `[2001:db8::1]:443`.
/// Holds nothing that could end a header line, a URL's authority or an HTML attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(String);

impl Host {
    /// DNS allows 253 characters; a port adds six.
    const MAX_LENGTH: usize = 259;

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH {
            return None;
        }
        let (name_is_valid, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            (address.parse::<std::net::Ipv6Addr>().is_ok(), port)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            (is_name(name), port)
        };
        let port_is_valid = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        (name_is_valid && port_is_valid).then(|| Self(text.to_ascii_lowercase()))
    }

    /// Host and port as written, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Letters, digits, hyphens and dots; the underscore is no host name but docker compose has it.
fn is_name(name: &str) -> bool {
    let inner = name.strip_suffix('.').unwrap_or(name);
    !inner.is_empty()
        && inner.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path that a proxy has cut off: empty, or `/` and segments, without a slash at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathPrefix(String);

impl PathPrefix {
    const MAX_LENGTH: usize = 256;

    /// Also for the setting `http.prefix`. `/` and the empty text are the empty prefix.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH {
            return None;
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Some(Self::default());
        }
        let valid = path.strip_prefix('/')?.split('/').all(|segment| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
                })
        });
        valid.then(|| Self(path.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
