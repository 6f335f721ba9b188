//! What a certificate says, as far as it matters here; and which public key a private key has.

use std::path::Path;

use chrono::{DateTime, Utc};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::prelude::FromDer as _;

use crate::challenge::shown;
use crate::files::{self, Unusable};

/// The longest file of certificates or keys that is read.
pub const MAX_FILE: u64 = 1024 * 1024;

/// A certificate in the words of this crate. Whoever made it chose the names in it: they are kept as
/// they may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub der: CertificateDer<'static>,
    /// For people: `CN=registry.example.com`.
    pub subject: String,
    pub issuer: String,
    pub common_name: Option<String>,
    raw_subject: Vec<u8>,
    raw_issuer: Vec<u8>,
    /// Host names and addresses it is for.
    pub names: Vec<String>,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    /// Whether it may sign other certificates.
    pub ca: bool,
    /// The DER of its public key.
    pub public_key: Vec<u8>,
    /// Where its issuer's certificate is published: public authorities say so of intermediates.
    pub issuer_url: Option<String>,
}

impl Certificate {
    /// `None`: that is no certificate.
    pub fn from_der(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let time =
            |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
        let validity = parsed.validity();
        Some(Self {
            subject: shown(&parsed.subject().to_string()),
            issuer: shown(&parsed.issuer().to_string()),
            common_name: parsed
                .subject()
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(shown),
            raw_subject: parsed.subject().as_raw().to_vec(),
            raw_issuer: parsed.issuer().as_raw().to_vec(),
            names: names(&parsed),
            not_before: time(validity.not_before)?,
            not_after: time(validity.not_after)?,
            ca: parsed.is_ca(),
            public_key: parsed.public_key().raw.to_vec(),
            issuer_url: issuer_url(&parsed),
            der: der.clone().into_owned(),
        })
    }

    pub fn is_self_signed(&self) -> bool {
        self.raw_subject == self.raw_issuer && self.is_signed_by(self)
    }

    /// Whether it says that `issuer` has signed it. Nothing is proved.
    pub fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.raw_issuer == issuer.raw_subject
    }

    /// Whether `issuer` has signed it.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let (Ok((_, certificate)), Ok((_, signer))) = (
            X509Certificate::from_der(&self.der),
            X509Certificate::from_der(&issuer.der),
        ) else {
            return false;
        };
        self.names_as_issuer(issuer)
            && certificate
                .verify_signature(Some(signer.public_key()))
                .is_ok()
    }

    /// Whether its purpose is to be shown by a server: it names hosts. Certificates that sign
    /// tokens, and authorities, name none.
    pub fn is_for_servers(&self) -> bool {
        !self.names.is_empty()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(name)
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

fn issuer_url(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return None;
        };
        access
            .accessdescs
            .iter()
            .find_map(|description| match &description.access_location {
                GeneralName::URI(url)
                    if description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS =>
                {
                    Some(shown(url))
                }
                _ => None,
            })
    })
}

/// What is in a PEM file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PemFile {
    pub certificates: Vec<Certificate>,
    /// The public key of each private key in it, or nothing for one of a kind that is not known.
    pub keys: Vec<Option<Vec<u8>>>,
    /// Whether there is an encrypted private key, which no server could use.
    pub encrypted: bool,
}

/// Reads a file of certificates and keys.
pub fn read_pem(path: &Path) -> Result<PemFile, Unusable> {
    parse_pem(&files::read(path, MAX_FILE)?)
}

/// The same for bytes that are there already.
pub fn parse_pem(bytes: &[u8]) -> Result<PemFile, Unusable> {
    if bytes.trim_ascii().is_empty() {
        return Err("is empty".into());
    }
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not in PEM form: {error}"))?;
    let keys: Vec<PrivateKeyDer<'static>> = PrivateKeyDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not in PEM form: {error}"))?;
    let text = String::from_utf8_lossy(bytes);
    let encrypted = text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains(",ENCRYPTED");
    if certificates.is_empty() && keys.is_empty() && !encrypted {
        let der = bytes.starts_with(&[0x30, 0x82]);
        return Err(if der {
            "is in DER form, not in PEM form (a text that starts with -----BEGIN CERTIFICATE-----)"
        } else {
            "holds neither a certificate nor a key in PEM form"
        }
        .into());
    }
    let certificates = certificates
        .iter()
        .map(|der| Certificate::from_der(der).ok_or("holds a certificate that is damaged"))
        .collect::<Result<_, _>>()?;
    let public = |key: &PrivateKeyDer<'_>| {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(key).ok()?;
        Some(key.public_key()?.as_ref().to_vec())
    };
    Ok(PemFile {
        certificates,
        keys: keys.iter().map(public).collect(),
        encrypted,
    })
}
