//! [`Authority`]: a private certificate authority, for servers that no public one vouches for.
//!
//! Its key is in a folder of its own, so that no server has it.

use std::time::Duration;

use auth_server::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

use super::folder::{Folder, Place, Readers, SetupError, State};
use super::hosts::HostName;

const CERTIFICATE: Place = Place {
    path: "ca/ca.pem",
    what: "the private authority, which clients trust",
    readers: Readers::Everybody,
};
const KEY: Place = Place {
    path: "ca/ca.key",
    what: "the authority's key; no server needs it",
    readers: Readers::Owner,
};

const AUTHORITY_LIFETIME: TimeDelta = TimeDelta::days(3650);

/// With the head start as long as clients accept of an authority that was added by hand: Apple's
/// systems refuse more than 825 days.
const SERVER_LIFETIME: TimeDelta = TimeDelta::days(824);

/// How far before now a certificate begins, for clients whose clock is behind.
const HEAD_START: TimeDelta = TimeDelta::days(1);

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    blocks: Vec<Pem>,
    not_after: DateTime<Utc>,
}

/// A certificate with its chain, and the key, as files hold them.
pub struct ServerPair {
    pub chain: String,
    pub key: String,
}

impl Authority {
    /// The one that is there, if there is one.
    pub fn load(folder: &mut Folder) -> Result<Option<Self>, SetupError> {
        let (certificate, key) = (folder.read(CERTIFICATE)?, folder.read(KEY)?);
        let (pem, key) = match (certificate, key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(half(folder, CERTIFICATE, KEY)),
            (None, Some(_)) => return Err(half(folder, KEY, CERTIFICATE)),
        };
        let authority = Self::new(pem, &key).map_err(|reason| SetupError::Unusable {
            path: folder.path(CERTIFICATE),
            reason,
        })?;
        folder.keep(CERTIFICATE);
        folder.keep(KEY);
        Ok(Some(authority))
    }

    pub fn make(folder: &mut Folder, clock: &Clock) -> Result<Self, SetupError> {
        let now = clock.now();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!(
            "Portcullis authority {}",
            hex::encode(clock.random::<4>())
        ));
        params.serial_number = Some(serial(clock));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        last(&mut params, now, now + AUTHORITY_LIFETIME);
        let pem = params.self_signed(&key)?.pem();
        // The key first: an authority without its key would be refused by the next run.
        folder.write(KEY, &key.serialize_pem(), State::Made)?;
        folder.write(CERTIFICATE, &pem, State::Made)?;
        Self::new(pem, &key.serialize_pem()).map_err(|reason| SetupError::Unusable {
            path: folder.path(CERTIFICATE),
            reason,
        })
    }

    fn new(pem: String, key: &str) -> Result<Self, String> {
        let key = KeyPair::from_pem(key).map_err(|_| {
            "its key is no private key in PEM that is understood (PKCS #8)".to_owned()
        })?;
        let blocks = pem_blocks(&pem)?;
        let first = blocks.first().ok_or("holds no certificate")?;
        let certificate = first.parse_x509().map_err(|error| error.to_string())?;
        if !certificate.is_ca() {
            return Err("is no authority: it may not sign certificates".to_owned());
        }
        if certificate.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err("does not belong to the key beside it".to_owned());
        }
        let not_after = end_of(&certificate);
        let issuer = Issuer::from_ca_cert_der(&first.contents.as_slice().into(), key)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            issuer,
            pem,
            blocks,
            not_after,
        })
    }

    /// Its certificate, for clients.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Whether this authority has signed a certificate.
    pub fn has_signed(&self, certificate: &X509Certificate<'_>) -> bool {
        self.blocks.first().is_some_and(|own| {
            own.parse_x509()
                .is_ok_and(|own| certificate.verify_signature(Some(own.public_key())).is_ok())
        })
    }

    /// A certificate for these names.
    pub fn sign(&self, hosts: &[HostName], clock: &Clock) -> Result<ServerPair, SetupError> {
        let now = clock.now();
        let key = KeyPair::generate()?;
        let names: Vec<String> = hosts.iter().map(HostName::to_string).collect();
        let mut params = CertificateParams::new(names)?;
        // For people; clients look at the alternative names alone (RFC 6125).
        params.distinguished_name = common_name("Portcullis");
        params.serial_number = Some(serial(clock));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        last(
            &mut params,
            now,
            (now + SERVER_LIFETIME).min(self.not_after),
        );
        let mut chain = params.signed_by(&key, &self.issuer)?.pem();
        chain.push_str(&self.intermediates());
        Ok(ServerPair {
            chain,
            key: key.serialize_pem(),
        })
    }

    pub fn ends(&self) -> DateTime<Utc> {
        self.not_after
    }

    /// What clients need between the servers' certificate and a root that they trust: nothing, or
    /// what somebody has brought whose authority is no root.
    fn intermediates(&self) -> String {
        let is_root = |block: &&Pem| {
            block
                .parse_x509()
                .is_ok_and(|certificate| certificate.subject() == certificate.issuer())
        };
        self.blocks
            .iter()
            .filter(|block| !is_root(block))
            .map(|block| pem_text(&block.contents))
            .collect()
    }
}

fn pem_text(der: &[u8]) -> String {
    pem::encode_config(
        &pem::Pem::new("CERTIFICATE", der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

/// The certificates in a file, in their order.
pub fn pem_blocks(text: &str) -> Result<Vec<Pem>, String> {
    Pem::iter_from_buffer(text.as_bytes())
        .filter(|block| {
            block
                .as_ref()
                .map_or(true, |block| block.label == "CERTIFICATE")
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "is no PEM".to_owned())
}

/// When a certificate ends.
pub fn end_of(certificate: &X509Certificate<'_>) -> DateTime<Utc> {
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0).unwrap_or_default()
}

pub fn half(folder: &Folder, present: Place, missing: Place) -> SetupError {
    SetupError::HalfPair {
        present: folder.path(present),
        missing: folder.path(missing),
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn serial(clock: &Clock) -> SerialNumber {
    let mut serial = clock.random::<16>();
    // A serial number is a positive integer without leading zeros.
    serial[0] = serial[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&serial)
}

/// Says from when to when it is valid.
fn last(params: &mut CertificateParams, now: DateTime<Utc>, end: DateTime<Utc>) {
    let time = |at: DateTime<Utc>| {
        let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = time(now - HEAD_START);
    params.not_after = time(end);
}
