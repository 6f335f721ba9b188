//! The servers' certificate: somebody's own, which stays, or one of our authority's, which is
//! replaced before it ends or when it is for other names.

use auth_server::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use service::server::{Tls, TlsSettings};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::authority::{Authority, end_of, half, pem_blocks};
use super::folder::{Folder, Place, Readers, SetupError, State};
use super::hosts::HostName;

const CHAIN: Place = Place {
    path: "tls/fullchain.pem",
    what: "the certificate of both servers, with its intermediates",
    readers: Readers::Everybody,
};
const KEY: Place = Place {
    path: "tls/privkey.pem",
    what: "its key",
    readers: Readers::Group,
};
/// The authority's certificate once more, for who must not see its key.
pub const AUTHORITY: Place = Place {
    path: "tls/ca.pem",
    what: "the authority's certificate, for clients",
    readers: Readers::Everybody,
};

/// A certificate that ends sooner is replaced. A third of its life: whoever starts the deployment
/// twice a year never serves an expired one.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(275);

/// Somebody's own certificate that ends sooner is worth a warning.
const WARN_BEFORE: TimeDelta = TimeDelta::days(14);

/// Returns what somebody should know of a certificate that is theirs.
pub fn ensure(
    folder: &mut Folder,
    hosts: &[HostName],
    clock: &Clock,
) -> Result<Vec<String>, SetupError> {
    let authority = Authority::load(folder)?;
    let chain = match (folder.read(CHAIN)?, folder.read(KEY)?) {
        (None, None) => {
            issue(folder, authority, hosts, clock, State::Made)?;
            return Ok(Vec::new());
        }
        (Some(_), None) => return Err(half(folder, CHAIN, KEY)),
        (None, Some(_)) => return Err(half(folder, KEY, CHAIN)),
        (Some(chain), Some(_)) => chain,
    };
    let unusable = |reason: String| SetupError::Unusable {
        path: folder.path(CHAIN),
        reason,
    };
    let blocks = pem_blocks(&chain).map_err(unusable)?;
    let first = blocks
        .first()
        .ok_or_else(|| unusable("holds no certificate".to_owned()))?;
    let certificate = first
        .parse_x509()
        .map_err(|_| unusable("holds no certificate that can be read".to_owned()))?;
    let now = clock.now();
    let fits = fits(folder);
    match authority {
        Some(authority) if authority.has_signed(&certificate) => {
            if fits.is_err() || is_due(&certificate, &authority, hosts, now) {
                issue(folder, Some(authority), hosts, clock, State::Renewed)?;
            } else {
                keep_ours(folder, &authority)?;
            }
            Ok(Vec::new())
        }
        _ => {
            fits?;
            folder.keep(CHAIN);
            folder.keep(KEY);
            let warnings = warnings(&certificate, blocks.len(), hosts, now);
            let path = folder.path(CHAIN);
            Ok(warnings
                .into_iter()
                .map(|warning| format!("{}: {warning}", path.display()))
                .collect())
        }
    }
}

fn issue(
    folder: &mut Folder,
    authority: Option<Authority>,
    hosts: &[HostName],
    clock: &Clock,
    state: State,
) -> Result<(), SetupError> {
    let authority = match authority {
        Some(authority) => authority,
        None => Authority::make(folder, clock)?,
    };
    let pair = authority.sign(hosts, clock)?;
    folder.write(KEY, &pair.key, state)?;
    folder.write(CHAIN, &pair.chain, state)?;
    write_authority(folder, &authority)
}

fn keep_ours(folder: &mut Folder, authority: &Authority) -> Result<(), SetupError> {
    folder.keep(CHAIN);
    folder.keep(KEY);
    write_authority(folder, authority)
}

fn write_authority(folder: &mut Folder, authority: &Authority) -> Result<(), SetupError> {
    match folder.read(AUTHORITY)? {
        Some(text) if text == authority.pem() => {
            folder.keep(AUTHORITY);
            Ok(())
        }
        Some(_) => folder.write(AUTHORITY, authority.pem(), State::Renewed),
        None => folder.write(AUTHORITY, authority.pem(), State::Made),
    }
}

/// Whether a server could start with the pair.
fn fits(folder: &Folder) -> Result<(), SetupError> {
    let settings = TlsSettings::files(folder.path(CHAIN), folder.path(KEY));
    Tls::load(&settings)
        .map(drop)
        .map_err(|error| SetupError::Unusable {
            path: folder.path(CHAIN),
            reason: error.to_string(),
        })
}

/// Whether a certificate of our authority has to be replaced.
fn is_due(
    certificate: &X509Certificate<'_>,
    authority: &Authority,
    hosts: &[HostName],
    now: DateTime<Utc>,
) -> bool {
    let ends = end_of(certificate);
    // One that ends with its authority would not last any longer if it were made anew.
    let ends_soon = ends - now < RENEW_BEFORE && ends < authority.ends();
    ends_soon || !uncovered(certificate, hosts).is_empty()
}

fn warnings(
    certificate: &X509Certificate<'_>,
    certificates: usize,
    hosts: &[HostName],
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let missing = uncovered(certificate, hosts);
    if !missing.is_empty() {
        let names = names(certificate).join(", ");
        warnings.push(format!(
            "is for {}, and not for {}: clients will refuse it",
            if names.is_empty() {
                "no name at all"
            } else {
                &names
            },
            missing.join(" and ")
        ));
    }
    let ends = end_of(certificate);
    if ends <= now {
        warnings.push(format!("has ended on {}", ends.date_naive()));
    } else if ends - now < WARN_BEFORE {
        warnings.push(format!("ends on {}", ends.date_naive()));
    }
    if certificates == 1 && certificate.subject() != certificate.issuer() {
        warnings.push(format!(
            "holds no intermediate certificate; unless clients trust {} itself, append it",
            certificate.issuer()
        ));
    }
    warnings
}

/// Those of the hosts that it does not vouch for.
fn uncovered(certificate: &X509Certificate<'_>, hosts: &[HostName]) -> Vec<String> {
    let names = names(certificate);
    hosts
        .iter()
        .filter(|host| !names.iter().any(|name| host.is_covered_by(name)))
        .map(HostName::to_string)
        .collect()
}

/// Its alternative names; the common name counts with nobody any more.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = &extension.value.general_names;
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(bytes).to_string());
    }
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(bytes).to_string())
}
