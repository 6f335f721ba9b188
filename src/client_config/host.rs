//! [`RegistryHost`]: what stands in front of the first slash of an image's name.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// `registry.example.com`, `registry.example.com:5000`, `[2001:db8::1]:5000`: as clients compare it,
/// letter by letter, with what is in their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryHost(String);

/// Why a text is no [`RegistryHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    #[error("write the host alone, as in names of images, without `{0}://`")]
    Scheme(String),
    #[error("write the host alone, without a path: clients look up their credentials by it")]
    Path,
    #[error("a host is written as `registry.example.com` or `registry.example.com:5000`")]
    Form,
    #[error("a port is a number from 1 to 65535")]
    Port,
    #[error(
        "clients would take `{0}` for a part of an image's name at Docker Hub: a registry's name \
         has a dot in it, or a port behind it"
    )]
    Short(String),
}

impl RegistryHost {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its port, and without what stands around an IPv6 address.
    #[cfg(test)]
    fn name(&self) -> &str {
        split_port(&self.0).0
    }
}

/// The host, and the port behind it if there is one.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let end_of_address = text.rfind(']').map_or(0, |at| at + 1);
    match text[end_of_address..].rfind(':') {
        Some(colon) => {
            let colon = end_of_address + colon;
            (&text[..colon], Some(&text[colon + 1..]))
        }
        None => (text, None),
    }
}

impl FromStr for RegistryHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(InvalidHost::Scheme(scheme.to_owned()));
        }
        if text.contains('/') {
            return Err(InvalidHost::Path);
        }
        // Names are the same in either case; clients compare them by the letter, in lower case.
        let text = text.to_ascii_lowercase();
        let (name, port) = split_port(&text);
        let is_address = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        if !is_address && !is_name(name) {
            return Err(InvalidHost::Form);
        }
        if port.is_some_and(|port| !is_port(port)) {
            return Err(InvalidHost::Port);
        }
        // <https://github.com/distribution/reference>: otherwise it is a path at Docker Hub.
        if port.is_none() && !is_address && !name.contains('.') && name != "localhost" {
            return Err(InvalidHost::Short(text));
        }
        Ok(Self(text))
    }
}

/// RFC 1123, section 2.1.
fn is_name(name: &str) -> bool {
    const MAX_NAME: usize = 253;
    const MAX_LABEL: usize = 63;
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// Written as clients write it: `05000` is another port to who compares texts.
fn is_port(port: &str) -> bool {
    let number = port.parse::<u16>().ok().filter(|number| *number > 0);
    number.is_some_and(|number| number.to_string() == port)
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
