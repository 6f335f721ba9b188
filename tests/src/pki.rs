//! A private certificate authority, as companies run them: root, intermediate, servers.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrono::{Datelike as _, Days, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;

use crate::content::unique;

/// An authority that nobody trusts but who is given its root. Its files go when it goes.
#[derive(Debug)]
pub struct Pki {
    folder: TempDir,
    root: Issuer<'static, KeyPair>,
    root_pem: String,
    intermediate: Issuer<'static, KeyPair>,
    intermediate_pem: String,
    /// The same authority's certificate of before its renewal.
    expired_intermediate_pem: String,
}

/// A certificate about to be issued.
#[derive(Debug)]
#[must_use = "nothing is issued until `issue`"]
pub struct Request<'p> {
    pki: &'p Pki,
    names: Vec<String>,
    common_name: Option<String>,
    days: (i64, i64),
    chain: Chain,
}

/// What a server sends after its own certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    Complete,
    WithoutIntermediate,
    WithExpiredIntermediate,
    IssuedByRoot,
}

/// A server's certificate with its chain, and its key: PEM files.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pki {
    pub fn new() -> Self {
        let authority = format!("Test {}", unique());
        let root_key = KeyPair::generate().unwrap();
        let root_params = authority_params(&format!("{authority} root"));
        let root_pem = root_params.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root_params, root_key);

        let intermediate_key = KeyPair::generate().unwrap();
        let mut intermediate_params = authority_params(&format!("{authority} intermediate"));
        let intermediate_pem =
            |params: &CertificateParams| params.signed_by(&intermediate_key, &root).unwrap().pem();
        set_validity(&mut intermediate_params, (-400, -1));
        let expired_intermediate_pem = intermediate_pem(&intermediate_params);
        set_validity(&mut intermediate_params, AUTHORITY_DAYS);
        let intermediate_pem = intermediate_pem(&intermediate_params);
        let intermediate = Issuer::new(intermediate_params, intermediate_key);

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.pem"), &root_pem).unwrap();
        Self {
            folder,
            root,
            root_pem,
            intermediate,
            intermediate_pem,
            expired_intermediate_pem,
        }
    }

    /// The file that clients are to trust.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    pub fn intermediate_pem(&self) -> &str {
        &self.intermediate_pem
    }

    /// The folder of all its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for these names and addresses, valid from yesterday for ninety days, with a
    /// complete chain.
    pub fn server<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Request<'_> {
        Request {
            pki: self,
            names: names.into_iter().map(str::to_owned).collect(),
            common_name: None,
            days: (-1, 90),
            chain: Chain::Complete,
        }
    }

    /// What reads certificates is told to trust this authority alone.
    pub fn trusting(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.root_pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root])
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Request<'_> {
    /// A subject beside the alternative names. Without any of those it is a certificate from
    /// before 2017, which Go and browsers refuse.
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    /// Valid between these days from today on, which may be in the past.
    pub fn valid_days(mut self, from: i64, to: i64) -> Self {
        self.days = (from, to);
        self
    }

    /// The server will not send the intermediate certificate.
    pub fn without_intermediate(mut self) -> Self {
        self.chain = Chain::WithoutIntermediate;
        self
    }

    /// The server sends the intermediate certificate that was replaced when it expired.
    pub fn with_expired_intermediate(mut self) -> Self {
        self.chain = Chain::WithExpiredIntermediate;
        self
    }

    /// There is no intermediate authority.
    pub fn issued_by_root(mut self) -> Self {
        self.chain = Chain::IssuedByRoot;
        self
    }

    pub fn issue(self) -> ServerCertificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = self.names.iter().map(|name| alternative(name)).collect();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, self.days);

        let key = KeyPair::generate().unwrap();
        let issuer = match self.chain {
            Chain::IssuedByRoot => &self.pki.root,
            _ => &self.pki.intermediate,
        };
        let mut chain = params.signed_by(&key, issuer).unwrap().pem();
        chain += match self.chain {
            Chain::Complete => &self.pki.intermediate_pem,
            Chain::WithExpiredIntermediate => &self.pki.expired_intermediate_pem,
            Chain::WithoutIntermediate | Chain::IssuedByRoot => "",
        };
        let name = unique();
        let folder = self.pki.folder.path();
        let pair = ServerCertificate {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&pair.certificate, chain).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}

/// From when to when authorities are valid, in days from today.
const AUTHORITY_DAYS: (i64, i64) = (-400, 4000);

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, AUTHORITY_DAYS);
    params
}

fn alternative(name: &str) -> SanType {
    match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

/// Makes it valid from and to the beginning of days that are counted from today.
#[allow(
    clippy::disallowed_methods,
    reason = "the certificates are checked by other programs, by the real time"
)]
fn set_validity(params: &mut CertificateParams, (from, to): (i64, i64)) {
    let today = Utc::now().date_naive();
    let day = |offset: i64| {
        let days = Days::new(offset.unsigned_abs());
        let date = if offset < 0 {
            today - days
        } else {
            today + days
        };
        let [month, day] = [date.month(), date.day()].map(|part| u8::try_from(part).unwrap());
        date_time_ymd(date.year(), month, day)
    };
    params.not_before = day(from);
    params.not_after = day(to);
}
