//! Tokens of another issuer, made with `openssl` alone: what our registry accepts must not depend
//! on our own code having made it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::Invocation;
use crate::content::unique;

/// An issuer with an RSA key and a self-signed certificate, as GitLab's administrators make them.
#[derive(Debug)]
pub struct ForeignIssuer {
    folder: TempDir,
    kid: String,
}

impl ForeignIssuer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(folder.path())
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=gitlab-issuer",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ])
            .run()
            .expect_success();
        openssl(folder.path())
            .args([
                "pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "spki.der",
            ])
            .run()
            .expect_success();
        let spki = std::fs::read(folder.path().join("spki.der")).unwrap();
        Self {
            kid: libtrust_id(&spki),
            folder,
        }
    }

    /// What the registry's `rootcertbundle` is set to.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub fn certificate_pem(&self) -> String {
        std::fs::read_to_string(self.certificate()).unwrap()
    }

    pub fn key_pem(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("key.pem")).unwrap()
    }

    /// A token as GitLab makes it: RS256, the key named by libtrust's id, no certificate inside.
    pub fn gitlab_token(&self, claims: &Value) -> String {
        self.token(
            &json!({"typ": "JWT", "alg": "RS256", "kid": self.kid}),
            claims,
        )
    }

    /// Any header over any claims, signed with RS256 whatever the header says.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(&message);
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        let name = unique();
        let signature = self.folder.path().join(&name);
        openssl(self.folder.path())
            .args(["dgst", "-sha256", "-sign", "key.pem", "-out", &name])
            .input(message)
            .run()
            .expect_success();
        std::fs::read(signature).unwrap()
    }
}

impl Default for ForeignIssuer {
    fn default() -> Self {
        Self::new()
    }
}

/// Claims for this access, good for five minutes.
pub fn claims(issuer: &str, service: &str, access: &Value) -> Value {
    let now = now();
    json!({
        "iss": issuer,
        "sub": "root",
        "aud": service,
        "exp": now + 300,
        "nbf": now - 5,
        "iat": now,
        "jti": unique(),
        "access": access,
    })
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "other people's tokens know no clock of ours"
)]
pub fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// The claims inside a token, unverified.
pub fn claims_of(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token.
pub fn header_of(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn openssl(folder: &Path) -> Invocation {
    Invocation::new("openssl").current_dir(folder)
}

/// libtrust's key id: twelve groups of four letters, base32 of the first 240 bits of the SHA-256 of
/// the public key.
fn libtrust_id(spki: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = Sha256::digest(spki);
    let letters: Vec<char> = hash[..30]
        .chunks(5)
        .flat_map(|five| {
            let bits = five
                .iter()
                .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8)
                .rev()
                .map(move |i| ALPHABET[(bits >> (5 * i) & 31) as usize] as char)
        })
        .collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(":")
}
