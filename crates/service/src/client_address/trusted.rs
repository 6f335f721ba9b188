//! Whose forwarded headers are believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::de::{self, Deserialize, Deserializer};

/// Which headers a trusted proxy sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix`, and `X-Real-IP`.
    #[default]
    XForwarded,
    /// RFC 7239.
    Forwarded,
}

/// The setting `http.trustedproxies`: addresses, networks in CIDR form, `loopback`, `private`
/// (RFC 1918, RFC 4193) or `unix` (whoever may open our Unix socket). Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
    headers: ForwardedHeaders,
}

/// A text that names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address (192.0.2.7), no network (10.0.0.0/8) and none of loopback, private, unix"
)]
pub struct InvalidProxy(String);

const LOOPBACK: [IpNet; 2] = [
    v4(Ipv4Addr::new(127, 0, 0, 0), 8),
    v6(Ipv6Addr::LOCALHOST, 128),
];

const PRIVATE: [IpNet; 4] = [
    v4(Ipv4Addr::new(10, 0, 0, 0), 8),
    v4(Ipv4Addr::new(172, 16, 0, 0), 12),
    v4(Ipv4Addr::new(192, 168, 0, 0), 16),
    v6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
];

const fn v4(address: Ipv4Addr, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address, length))
}

const fn v6(address: Ipv6Addr, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(address, length))
}

impl TrustedProxies {
    /// Trusts those that `entries` name.
    pub fn parse<'e>(entries: impl IntoIterator<Item = &'e str>) -> Result<Self, InvalidProxy> {
        let mut proxies = Self::default();
        for entry in entries {
            proxies.add(entry)?;
        }
        Ok(proxies)
    }

    /// Believes another family of headers.
    #[must_use]
    pub fn with_headers(mut self, headers: ForwardedHeaders) -> Self {
        self.headers = headers;
        self
    }

    fn add(&mut self, entry: &str) -> Result<(), InvalidProxy> {
        match entry {
            "loopback" => self.networks.extend(LOOPBACK),
            "private" => self.networks.extend(PRIVATE),
            "unix" => self.unix = true,
            _ => {
                let network = IpNet::from_str(entry)
                    .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| InvalidProxy(entry.to_owned()))?;
                self.networks.push(canonical(network));
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether the headers of a peer with this address are believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    #[must_use]
    pub fn trusts_unix(&self) -> bool {
        self.unix
    }

    pub(super) fn headers(&self) -> ForwardedHeaders {
        self.headers
    }
}

/// `::ffff:10.0.0.0/104` means 10.0.0.0/8, and addresses are compared in their canonical form.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(address) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(address, length)
    {
        return IpNet::V4(v4);
    }
    network
}

impl<'de> Deserialize<'de> for TrustedProxies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> de::Visitor<'de> for Entries {
            type Value = TrustedProxies;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of addresses and networks")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut entries: A,
            ) -> Result<TrustedProxies, A::Error> {
                let mut proxies = TrustedProxies::default();
                while let Some(Entry(entry)) = entries.next_element()? {
                    proxies.networks.extend(entry.networks);
                    proxies.unix |= entry.unix;
                }
                Ok(proxies)
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

/// One item, checked where it is read, so that an error names the item.
struct Entry(TrustedProxies);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        TrustedProxies::parse([text.as_str()])
            .map(Self)
            .map_err(de::Error::custom)
    }
}
