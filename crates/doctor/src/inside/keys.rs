//! Three certificates that people confuse: the one a server shows, the authority that signed it, and
//! the one whose key signs tokens. Each has its setting.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use registry_token::{KeyLocation, TrustedKeys};
use reqwest::Method;

use super::AuthSide;
use crate::certificate::{Certificate, MAX_FILE, PemFile, read_pem};
use crate::files::{self, PATIENCE, Unusable, patiently, silent, unreadable};
use crate::http::Http;
use crate::report::{Status, Verdict};
use crate::tls;
use crate::trust::Trust;

/// A certificate and its private key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What is in the two files.
#[derive(Clone, Debug)]
pub(super) struct PairFiles {
    pub certificate: Result<PemFile, Unusable>,
    pub key: Result<PemFile, Unusable>,
    /// Permissions of the key.
    pub mode: Option<u32>,
}

impl PairFiles {
    pub fn read(pair: &Pair) -> Self {
        let key = read_pem(&pair.key);
        Self {
            certificate: read_pem(&pair.certificate),
            mode: key.is_ok().then(|| mode(&pair.key)).flatten(),
            key,
        }
    }

    pub fn leaf(&self) -> Option<&Certificate> {
        self.certificate.as_ref().ok()?.certificates.first()
    }
}

fn mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.permissions().mode() & 0o777)
}

const TOKEN_CERTIFICATE: &str = "the token server's signing certificate (the auth-server's \
     `bundle.pem`, GitLab's `registry_token.crt`)";

/// `auth.token.rootcertbundle`
pub(super) fn bundle(
    path: &Path,
    read: &Result<PemFile, Unusable>,
    servers: &[(String, Certificate)],
    signers: &[Certificate],
    now: DateTime<Utc>,
) -> Verdict {
    let shown = path.display();
    let fix = format!("set `auth.token.rootcertbundle` to {TOKEN_CERTIFICATE}");
    let file = match read {
        Ok(file) => file,
        Err(problem) => return problem.failure(path, fix),
    };
    if !file.keys.is_empty() || file.encrypted {
        return Verdict::failure(
            format!("{shown} holds a private key, which the registry must not have"),
            format!("{fix}: the certificate alone"),
        );
    }
    let signs = |certificate: &&Certificate| {
        let same = |signer: &Certificate| signer.public_key == certificate.public_key;
        signers.iter().any(same)
    };
    if !file.certificates.iter().any(|one| signs(&one))
        && let Some(what) = misplaced(&file.certificates, servers)
    {
        return Verdict::failure(format!("{shown} {what}"), fix);
    }
    let current: Vec<&Certificate> = file
        .certificates
        .iter()
        .filter(|one| one.not_before <= now && now <= one.not_after)
        .collect();
    let Some(first) = current.first() else {
        return Verdict::failure(
            format!("every certificate in {shown} has expired, or is not valid yet"),
            "renew the token signing certificate (`portcullis auth key rotate`), and set \
             `auth.token.rootcertbundle` to the new one",
        );
    };
    let count = match current.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Verdict::ok(format!("{shown}: \"{}\"{count}", first.subject))
}

/// What else these certificates are for, if anything.
fn misplaced(found: &[Certificate], servers: &[(String, Certificate)]) -> Option<String> {
    for certificate in found {
        let shown = servers
            .iter()
            .find(|(_, server)| server.public_key == certificate.public_key);
        if let Some((place, _)) = shown {
            return Some(format!(
                "is the TLS server certificate ({place}), not the token signing certificate"
            ));
        }
    }
    for certificate in found {
        let signed = servers
            .iter()
            .find(|(_, server)| server.is_signed_by(certificate) && server != certificate);
        if let Some((place, _)) = signed {
            return Some(format!(
                "is the authority \"{}\" that signed the TLS server certificate ({place}), not the \
                 token signing certificate",
                certificate.subject
            ));
        }
    }
    let server = found.iter().find(|one| one.is_for_servers() && !one.ca)?;
    Some(format!(
        "is a TLS server certificate (for {}), not the token signing certificate",
        server.names.join(", ")
    ))
}

/// `http.tls`
pub(super) fn server_pair(
    pair: &Pair,
    read: &PairFiles,
    signers: &[Certificate],
    trust: &Trust,
    now: DateTime<Utc>,
) -> Verdict {
    let shown = pair.certificate.display();
    let fix =
        "set `http.tls.certificate` to the server's certificate, followed by its intermediates";
    let file = match &read.certificate {
        Ok(file) => file,
        Err(problem) => return problem.failure(&pair.certificate, fix),
    };
    let Some(leaf) = file.certificates.first() else {
        return Verdict::failure(
            format!("{shown} holds a private key and no certificate"),
            "exchange `http.tls.certificate` and `http.tls.key`",
        );
    };
    if signers
        .iter()
        .any(|signer| signer.public_key == leaf.public_key)
    {
        return Verdict::failure(
            format!("{shown} is the token signing certificate, not a TLS server certificate"),
            fix,
        );
    }
    if leaf.ca && !leaf.is_for_servers() {
        return Verdict::failure(
            format!(
                "{shown} is the authority \"{}\", not a server's certificate",
                leaf.subject
            ),
            fix,
        );
    }
    if let Some(verdict) = key_of(leaf, file, pair, read, signers) {
        return verdict;
    }
    if !leaf.is_for_servers() {
        let name = tls::name(leaf, leaf.common_name.as_deref().unwrap_or("registry"));
        return Verdict::failure(
            format!("{shown}: {}", name.message),
            name.fix.unwrap_or_default(),
        );
    }
    let expiry = tls::expiry(leaf, now);
    if expiry.status > Status::Ok {
        let message = format!("{shown}: {}", expiry.message);
        return Verdict { message, ..expiry };
    }
    let chain = tls::chain(&file.certificates, trust, now);
    if chain.is_failure() {
        return Verdict::warning(
            format!("{shown}: {}", chain.message),
            chain.fix.unwrap_or_default(),
        );
    }
    Verdict::ok(format!("{shown} is for {}", leaf.names.join(", ")))
}

/// What is wrong with the key beside a certificate.
fn key_of(
    leaf: &Certificate,
    file: &PemFile,
    pair: &Pair,
    read: &PairFiles,
    signers: &[Certificate],
) -> Option<Verdict> {
    let shown = pair.key.display();
    let fix = "set `http.tls.key` to the private key of `http.tls.certificate`";
    let keys = match &read.key {
        Ok(keys) => keys,
        Err(problem) => return Some(problem.failure(&pair.key, fix)),
    };
    if keys.encrypted {
        return Some(Verdict::failure(
            format!("{shown} is encrypted with a passphrase, which nobody could type at a start"),
            "store it without one (`openssl pkey -in KEY -out NEW`), readable by the server alone",
        ));
    }
    let Some(key) = keys.keys.first() else {
        return Some(Verdict::failure(
            format!("{shown} holds no private key"),
            fix,
        ));
    };
    // A kind that is not known here: the server will say.
    let key = key.as_ref()?;
    if *key != leaf.public_key {
        let of_another = file.certificates.iter().any(|one| one.public_key == *key);
        let of_tokens = signers.iter().any(|one| one.public_key == *key);
        let what = if of_another {
            "its certificate is in the file, but not the first: the server's own must come first"
        } else if of_tokens {
            "it is the key that signs tokens"
        } else {
            "it is the key of another certificate"
        };
        return Some(Verdict::failure(
            format!(
                "{shown} does not match {}: {what}",
                pair.certificate.display()
            ),
            fix,
        ));
    }
    let mode = read.mode.filter(|mode| mode & 0o007 != 0)?;
    Some(Verdict::warning(
        format!("{shown} can be read by everybody on this machine (mode {mode:03o})"),
        format!("chmod 600 {shown}, owned by the user that the server runs as"),
    ))
}

/// What signs tokens: `keys` of the auth-server.
pub(super) fn signing(
    auth: &AuthSide,
    mounted: Option<(&Pair, &PairFiles)>,
    servers: &[(String, Certificate)],
) -> Verdict {
    let Some((pair, read)) = mounted else {
        return match &auth.folder {
            Some(folder) => signing_folder(folder),
            None => Verdict::ok("the signing key is in the database"),
        };
    };
    let fix = "set `keys.signingkey` and `keys.certificate` of the auth-server to one pair, or leave \
               both out: it makes its own";
    let (certificate, keys) = match (&read.certificate, &read.key) {
        (Err(problem), _) => return problem.failure(&pair.certificate, fix),
        (_, Err(problem)) => return problem.failure(&pair.key, fix),
        (Ok(certificate), Ok(keys)) => (certificate, keys),
    };
    let Some(leaf) = certificate.certificates.first() else {
        let shown = pair.certificate.display();
        return Verdict::failure(format!("{shown} holds no certificate"), fix);
    };
    let shown = pair.key.display();
    match keys.keys.first() {
        None => return Verdict::failure(format!("{shown} holds no usable private key"), fix),
        Some(Some(key)) if *key != leaf.public_key => {
            let certificate = pair.certificate.display();
            return Verdict::failure(format!("{shown} does not match {certificate}"), fix);
        }
        Some(_) => {}
    }
    let server = servers
        .iter()
        .find(|(_, one)| one.public_key == leaf.public_key);
    if let Some((place, _)) = server {
        return Verdict::failure(
            format!("tokens are signed with the key of the TLS server certificate ({place})"),
            "give the auth-server a key of its own: leave `keys.signingkey` and `keys.certificate` \
             out",
        );
    }
    match read.mode.filter(|mode| mode & 0o077 != 0) {
        Some(mode) => readable_key(&pair.key, mode),
        None => Verdict::ok(format!("{shown} signs tokens, as \"{}\"", leaf.subject)),
    }
}

fn readable_key(path: &Path, mode: u32) -> Verdict {
    let shown = path.display();
    Verdict::warning(
        format!(
            "{shown} can be read by others (mode {mode:03o}): whoever reads it can make tokens"
        ),
        format!("chmod 600 {shown}, owned by the user that the auth-server runs as"),
    )
}

fn signing_folder(folder: &Path) -> Verdict {
    let place = folder.to_owned();
    patiently(PATIENCE, move || look_at_keys(&place)).unwrap_or_else(|| silent(folder))
}

fn look_at_keys(folder: &Path) -> Verdict {
    let shown = folder.display();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Verdict::warning(
                format!("there is no folder {shown}, and so no signing key yet"),
                "start the auth-server once: it makes the key; or correct `keys.path`",
            );
        }
        Err(error) => {
            let fix = "let the auth-server's user own `keys.path`, and run doctor as that user or as \
                       root";
            return unreadable(folder, &error).failure(folder, fix);
        }
    };
    let keys: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("signing") && name.ends_with(".pem")
        })
        .collect();
    let open = keys.iter().find_map(|path| {
        let mode = mode(path).filter(|mode| mode & 0o077 != 0)?;
        Some(readable_key(path, mode))
    });
    open.unwrap_or_else(|| {
        Verdict::ok(match keys.len() {
            0 => format!("no key in {shown}: it is in the database, or made at the start"),
            1 => format!("1 signing key in {shown}"),
            found => format!("{found} signing keys in {shown}"),
        })
    })
}

/// What the auth-server publishes for registries.
pub(super) fn published(
    path: &Path,
    read: &Result<PemFile, Unusable>,
    now: DateTime<Utc>,
) -> Verdict {
    let shown = path.display();
    let file = match read {
        Ok(file) => file,
        Err(problem) => {
            return Verdict::warning(
                format!("{shown} {problem}"),
                problem.fix_or(
                    "start the auth-server once: it writes the file; or correct `keys.path`",
                ),
            );
        }
    };
    let valid = file.certificates.iter().any(|one| now <= one.not_after);
    if !valid {
        return Verdict::failure(
            format!("every certificate in {shown} has expired"),
            "rotate the signing key: `portcullis auth key rotate`",
        );
    }
    Verdict::ok(format!(
        "{} published in {shown}",
        counted(file.certificates.len())
    ))
}

fn counted(certificates: usize) -> String {
    match certificates {
        1 => "1 certificate".to_owned(),
        count => format!("{count} certificates"),
    }
}

/// The keys of a JWKS, as the registry would get them.
pub(super) async fn read_jwks(
    location: &KeyLocation,
    http: &Http,
) -> Result<TrustedKeys, Unusable> {
    let text = match location {
        KeyLocation::JwksUrl(url) => {
            let answer = http.send(http.ask(Method::GET, url)).await;
            let answer = answer.map_err(|trouble| format!("cannot be fetched: {trouble}"))?;
            if answer.status != 200 {
                return Err(format!("was answered {}", answer.status).into());
            }
            answer.body
        }
        KeyLocation::JwksFile(path) | KeyLocation::Bundle(path) => files::read(path, MAX_FILE)?,
    };
    TrustedKeys::from_jwks_json(&text).map_err(|error| error.to_string().into())
}

/// `auth.token.jwks`
pub(super) fn jwks(location: &KeyLocation, read: &Result<TrustedKeys, Unusable>) -> Verdict {
    match read {
        Ok(keys) => Verdict::ok(format!("{location}: keys to believe: {}", keys.len())),
        Err(problem) => Verdict::failure(
            format!("{location} {problem}"),
            problem.fix_or(
                "set `auth.token.jwks` to the token server's key set (the auth-server's \
                 /.well-known/jwks.json), reachable from the registry's host",
            ),
        ),
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
