//! Certificates and answers for unit tests.

use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::certificate::Certificate;
use crate::http::Answer;

/// Some moment in 2030.
pub fn noon() -> DateTime<Utc> {
    "2030-06-15T12:00:00Z".parse().unwrap()
}

/// An authority: a root, or one below another.
pub struct Authority {
    pub certificate: Certificate,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn root(name: &str) -> Self {
        Self::make(name, None, (2020, 2040))
    }

    pub fn below(&self, name: &str) -> Self {
        Self::make(name, Some(self), (2020, 2040))
    }

    pub fn below_until(&self, name: &str, year: i32) -> Self {
        Self::make(name, Some(self), (2020, year))
    }

    fn make(name: &str, above: Option<&Self>, years: (i32, i32)) -> Self {
        let mut params = params(name, &[], years);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let issuer = match above {
            None => CertifiedIssuer::self_signed(params, key).unwrap(),
            Some(above) => CertifiedIssuer::signed_by(params, key, &above.issuer).unwrap(),
        };
        Self {
            certificate: Certificate::from_der(issuer.der()).unwrap(),
            issuer,
        }
    }

    /// A certificate for these hosts, its common name the first.
    pub fn server(&self, hosts: &[&str]) -> Certificate {
        self.signed(&params(
            hosts.first().unwrap_or(&"nobody"),
            hosts,
            (2029, 2031),
        ))
    }

    pub fn signed(&self, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        Certificate::from_der(signed.der()).unwrap()
    }
}

/// From the first of January of one year to that of another.
pub fn params(name: &str, hosts: &[&str], (from, to): (i32, i32)) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    params
}

pub fn self_signed(params: &CertificateParams) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Certificate::from_der(certificate.der()).unwrap()
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect();
    Answer {
        status,
        headers,
        body: body.as_bytes().to_vec(),
        url: "https://registry.test/v2/".parse().unwrap(),
        at: noon(),
    }
}
