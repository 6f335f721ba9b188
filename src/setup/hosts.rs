//! [`HostName`]: what a server is called, without scheme, port or path.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A DNS name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// Whether a name in a certificate covers this one: itself, or a wildcard for its first label
    /// (RFC 6125, 6.4.3).
    pub fn is_covered_by(&self, pattern: &str) -> bool {
        if self.0.eq_ignore_ascii_case(pattern) {
            return true;
        }
        let (Some(parent), Some((first, rest))) =
            (pattern.strip_prefix("*."), self.0.split_once('.'))
        else {
            return false;
        };
        !first.is_empty() && self.address().is_none() && rest.eq_ignore_ascii_case(parent)
    }

    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why something is no host name, for who typed it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidHostName {
    #[error("it is empty")]
    Empty,
    #[error("write the host name alone, without `https://`")]
    Scheme,
    #[error("write the host name alone, without a path")]
    Path,
    #[error("write the host name alone, without a port")]
    Port,
    #[error(
        "a host name is made of letters, digits, `-` and `.`, such as registry.example.com; at \
         most 63 characters between dots and 253 in all"
    )]
    Characters,
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        if text.is_empty() {
            return Err(InvalidHostName::Empty);
        }
        if text.contains("://") {
            return Err(InvalidHostName::Scheme);
        }
        if text.contains('/') {
            return Err(InvalidHostName::Path);
        }
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        if text.contains(':') {
            return Err(InvalidHostName::Port);
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() > 253 || !text.split('.').all(is_label) {
            return Err(InvalidHostName::Characters);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_host_names() {
        for name in [
            "registry.example.com",
            "localhost",
            "192.0.2.7",
            "2001:db8::7",
            "a-1.b",
        ] {
            assert_eq!(name.parse::<HostName>().unwrap().to_string(), name);
        }
        let host: HostName = "Registry.Example.COM".parse().unwrap();
        assert_eq!(host.to_string(), "registry.example.com");
    }

    #[test]
    fn whatever_else_somebody_types_is_refused_with_what_to_type() {
        for (text, reason) in [
            ("", "empty"),
            ("https://registry.example.com", "without `https://`"),
            ("registry.example.com/v2", "without a path"),
            ("registry.example.com:5000", "without a port"),
            ("registry_1.example.com", "letters, digits"),
            ("registry..example.com", "letters, digits"),
            ("-registry", "letters, digits"),
            ("registry example", "letters, digits"),
            (&"a".repeat(64), "63"),
        ] {
            let refused = text.parse::<HostName>().unwrap_err().to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn a_wildcard_covers_one_label_and_no_address() {
        let host = |text: &str| text.parse::<HostName>().unwrap();
        assert!(host("registry.example.com").is_covered_by("registry.example.com"));
        assert!(host("registry.example.com").is_covered_by("*.Example.com"));
        assert!(!host("a.registry.example.com").is_covered_by("*.example.com"));
        assert!(!host("example.com").is_covered_by("*.example.com"));
        assert!(!host("192.0.2.7").is_covered_by("*.0.2.7"));
        assert!(!host("registry.example.com").is_covered_by("auth.example.com"));
    }
}
