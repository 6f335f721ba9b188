//! Tokens: what one says, whether the registry's keys believe it, and what the registry makes of it.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use registry_token::{Algorithm, Claims, TrustedKeys, Verifier, VerifierSettings, VerifyError};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;

use crate::certificate::Certificate;
use crate::challenge::{Asked, shown};
use crate::clocks::{NOT_KEPT, Validity};
use crate::difference::difference;
use crate::http::Answer;
use crate::realm::said;
use crate::report::Verdict;

/// What a registry believes, read from its configuration.
#[derive(Clone, Debug)]
pub struct Belief {
    pub issuer: String,
    pub service: String,
    pub algorithms: Vec<Algorithm>,
    pub keys: TrustedKeys,
    /// Where the keys are from: `/etc/portcullis/bundle.pem`.
    pub source: String,
}

/// A token taken apart. Nothing is verified.
#[derive(Clone, Debug)]
pub struct Token {
    pub header: Header,
    pub claims: Claims,
    /// The certificates it brings along.
    pub chain: Vec<Certificate>,
    /// Whether `aud` is a list.
    pub audience_is_list: bool,
}

/// What is read of a token's header.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Header {
    pub alg: String,
    pub kid: Option<String>,
    pub x5c: Vec<String>,
}

impl Token {
    /// The error is a part of a sentence: `the token …`.
    pub fn decode(token: &str) -> Result<Self, String> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("is no JSON Web Token".to_owned());
        };
        let decode = |part: &str| {
            BASE64_URL_SAFE_NO_PAD
                .decode(part.trim_end_matches('='))
                .map_err(|_| "is no JSON Web Token: it is not base64url".to_owned())
        };
        let payload = decode(payload)?;
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| "has a header that cannot be read".to_owned())?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|error| {
            format!(
                "has claims that cannot be read: {}",
                shown(&error.to_string())
            )
        })?;
        let audience = serde_json::from_slice::<serde_json::Value>(&payload);
        let chain = header.x5c.iter().filter_map(|text| {
            let der = BASE64_STANDARD.decode(text).ok()?;
            Certificate::from_der(&CertificateDer::from(der))
        });
        Ok(Self {
            chain: chain.collect(),
            audience_is_list: audience.is_ok_and(|claims| claims["aud"].is_array()),
            header,
            claims,
        })
    }

    pub fn validity(&self) -> Validity {
        Validity {
            from: self.claims.not_before,
            issued: self.claims.issued_at,
            until: self.claims.expires_at,
        }
    }

    fn key_in_words(&self) -> String {
        match (&self.header.kid, self.chain.first()) {
            (Some(kid), _) => format!("key {}", shown(kid)),
            (None, Some(leaf)) => format!("the key of \"{}\"", leaf.subject),
            (None, None) => "a key that it does not name".to_owned(),
        }
    }
}

/// What the realm answered to who logged in.
pub fn issued(answer: &Answer, user: Option<&str>) -> (Verdict, Option<String>) {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let token = ["token", "access_token"]
        .iter()
        .find_map(|name| body[*name].as_str())
        .filter(|token| !token.is_empty());
    let whom = user.map_or("anybody".to_owned(), |user| format!("user {}", shown(user)));
    let verdict = match (answer.status, token) {
        (200, Some(token)) => {
            return (Verdict::ok(format!("for {whom}")), Some(token.to_owned()));
        }
        (200, None) => Verdict::failure(
            "the realm answered without a token",
            "see that `auth.token.realm` of the registry is a token server",
        ),
        (401 | 403, _) if user.is_none() => {
            Verdict::skipped("the realm gives tokens to nobody who is not logged in")
                .unless("log in with --user and --password-stdin to check the rest")
        }
        (401 | 403, _) => Verdict::failure(
            format!("the realm refuses {whom}: {}", said(answer)),
            "use the right user name and password; if they are right, see that the proxy passes the \
             `Authorization` header on to the token server",
        ),
        (429, _) => Verdict::failure(
            format!("too many wrong passwords: {}", said(answer)),
            "wait a while, and correct the password that some machine keeps sending",
        ),
        (status, _) => Verdict::failure(
            format!("the realm answered {status}: {}", said(answer)),
            "look into the log of the token server",
        ),
    };
    (verdict, None)
}

/// Whether the token is somebody's, after a password was sent for it.
pub fn subject_verdict(token: &Token, user: Option<&str>) -> Verdict {
    match (&token.claims.subject, user) {
        (Some(subject), _) => Verdict::ok(format!("the token is for \"{}\"", shown(subject))),
        (None, None) => Verdict::ok("the token is for nobody in particular"),
        (None, Some(user)) => Verdict::failure(
            format!(
                "the realm gave {} a token for nobody: the password did not arrive",
                shown(user)
            ),
            "let the proxy pass `Authorization` on to the token server, too",
        ),
    }
}

/// Whether the token is meant for the service that the registry calls itself.
pub fn service_verdict(token: &Token, service: &str) -> Verdict {
    let audience: Vec<&str> = token.claims.audience.iter().collect();
    if audience.contains(&service) {
        return Verdict::ok(format!("\"{}\" on both sides", shown(service)));
    }
    let found = audience.join(", ");
    let hint = difference(&found, service).unwrap_or_default();
    Verdict::failure(
        format!(
            "the token is for \"{}\", the registry calls itself \"{}\"{hint}",
            shown(&found),
            shown(service)
        ),
        "make `auth.token.service` of the registry and the service of the token server \
         (`token.services`) equal, to the letter",
    )
}

/// Whether every kind of registry could check such a token.
pub fn form_verdict(token: &Token) -> Verdict {
    let Header { alg, kid, x5c } = &token.header;
    let shown_alg = shown(alg);
    let Ok(algorithm) = alg.parse::<Algorithm>() else {
        return Verdict::failure(
            format!("the token is signed with \"{shown_alg}\", which proves nothing to a registry"),
            "have the token server sign with RS256 or ES256, by a private key",
        );
    };
    let named = match (kid, x5c.len()) {
        (None, 0) => "naming no key".to_owned(),
        (None, _) => "with its certificate".to_owned(),
        (Some(kid), 0) => format!("key id {}", shown(kid)),
        (Some(kid), _) => format!("key id {}, with its certificate", shown(kid)),
    };
    let seen = format!("{shown_alg}, {named}");
    if token.audience_is_list {
        return Verdict::warning(
            format!("{seen}; its `aud` is a list, which distribution 2 refuses"),
            "have the token server write one service as a plain text",
        );
    }
    if matches!(
        algorithm,
        Algorithm::EdDsa | Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512
    ) {
        return Verdict::warning(
            format!("{seen}; distribution 2 knows no {shown_alg}"),
            "set `keys.algorithm` of the auth-server to ES256 or RS256 if such registries are to \
             accept it",
        );
    }
    let libtrust = kid
        .as_ref()
        .is_some_and(|kid| kid.matches(':').count() == 11);
    if x5c.is_empty() && !libtrust {
        return Verdict::warning(
            format!("{seen}; distribution 2 finds a key by `x5c` or libtrust's key id only"),
            "have the token server add its certificate (`x5c`) if such registries are to accept it",
        );
    }
    Verdict::ok(seen)
}

/// Whether the registry's keys and names believe the token. `now` by the registry's clock.
pub fn signature_verdict(
    text: &str,
    token: &Token,
    belief: &Belief,
    now: DateTime<Utc>,
) -> Verdict {
    let mut settings = VerifierSettings::new(belief.issuer.clone(), belief.service.clone());
    settings.algorithms.clone_from(&belief.algorithms);
    let verifier = Verifier::new(settings, belief.keys.clone());
    let source = &belief.source;
    match verifier.verify(text, now) {
        Ok(_) => Verdict::ok(format!(
            "signed by {}, which is in {source}",
            token.key_in_words()
        )),
        Err(error) => disbelief(&error, token, belief),
    }
}

fn disbelief(error: &VerifyError, token: &Token, belief: &Belief) -> Verdict {
    let source = &belief.source;
    match error {
        VerifyError::WrongIssuer { .. } => issuer_verdict(&token.claims.issuer, &belief.issuer),
        VerifyError::WrongAudience { .. } => service_verdict(token, &belief.service),
        VerifyError::UnknownKey { .. }
        | VerifyError::UntrustedChain { .. }
        | VerifyError::NoKey { .. }
        | VerifyError::BadSignature => Verdict::failure(
            format!(
                "the token is signed by {}, which is not in {source}",
                token.key_in_words()
            ),
            "set `auth.token.rootcertbundle` of the registry to the token server's certificate (the \
             auth-server's `bundle.pem`, GitLab's `registry_token.crt`), the one of the key that it \
             signs with now",
        ),
        VerifyError::AlgorithmNotAllowed { .. } => Verdict::failure(
            error.to_string(),
            "add it to `auth.token.signingalgorithms` of the registry, or remove that setting",
        ),
        VerifyError::AlgorithmMismatch { .. } => Verdict::failure(
            error.to_string(),
            "correct `alg` of that key in the JWKS, or the algorithm that the token server signs with",
        ),
        VerifyError::CertificateExpired { .. } | VerifyError::CertificateNotYetValid { .. } => {
            Verdict::failure(
                error.to_string(),
                "renew the token signing certificate (`portcullis auth key rotate`), and put the new \
                 one into `auth.token.rootcertbundle`",
            )
        }
        VerifyError::Expired { .. } | VerifyError::NotYetValid { .. } => Verdict::failure(
            error.to_string(),
            "synchronize the clocks of the registry's and the token server's machines",
        ),
        VerifyError::TooLong { .. }
        | VerifyError::Malformed { .. }
        | VerifyError::Certificate { .. } => Verdict::failure(
            error.to_string(),
            "have the token server make tokens as distribution's specification describes them",
        ),
    }
}

/// The issuer of tokens against the one that the registry believes.
pub fn issuer_verdict(of_tokens: &str, believed: &str) -> Verdict {
    match difference(of_tokens, believed) {
        None => Verdict::ok(format!("\"{}\" on both sides", shown(believed))),
        Some(hint) => Verdict::failure(
            format!(
                "tokens are issued by \"{}\", the registry believes \"{}\"{hint}",
                shown(of_tokens),
                shown(believed)
            ),
            "make `auth.token.issuer` of the registry and `token.issuer` of the auth-server equal, \
             to the letter",
        ),
    }
}

/// What `GET /v2/` says to a token that is none: whether the header arrives at all.
pub fn header_verdict(answer: &Answer) -> Verdict {
    let fix = "let the proxy pass `Authorization` on to the registry: no `proxy_set_header \
               Authorization`, no `RequestHeader unset Authorization`, no authentication of its own \
               for /v2/";
    match (answer.status, Asked::by(answer)) {
        (401, Asked::Bearer(challenge)) if challenge.error.is_some() => {
            Verdict::ok("the `Authorization` header arrives")
        }
        (401, Asked::Bearer(_)) => Verdict::failure(
            "no token arrives at the registry: it answers to a bad token as to none. Something \
             between takes the `Authorization` header away",
            fix,
        ),
        (400, _) => Verdict::ok("the `Authorization` header arrives, and is refused as malformed"),
        (200, _) => Verdict::failure(
            "the registry lets in who brings a bad token",
            "see what answers here: a registry with `auth.token` would refuse it",
        ),
        (status, _) => Verdict::warning(
            format!("a bad token was answered {status}, and not 401"),
            fix,
        ),
    }
}

/// Whether a registry says that it is the dates that it does not like. Ours does; it says so even where
/// a proxy puts its own `Date` in the place of the registry's.
fn about_time(answer: &Answer) -> bool {
    let said = said(answer);
    said.contains("token expired at") || said.contains("token is not valid before")
}

/// What `GET /v2/` says to a good token.
pub fn accepted_verdict(answer: &Answer, token: Option<&Token>) -> Verdict {
    let issuer = token.map_or("?", |token| token.claims.issuer.as_str());
    let key = token.map_or("a key that cannot be told".to_owned(), Token::key_in_words);
    match (answer.status, Asked::by(answer)) {
        (200, _) => Verdict::ok("the registry accepts the token"),
        (401, Asked::Bearer(challenge)) => match challenge.error.as_deref() {
            None => Verdict::failure(
                "the token did not arrive at the registry, which answers as to nobody",
                "let the proxy pass `Authorization` on to the registry",
            ),
            Some("insufficient_scope") => Verdict::failure(
                "the registry accepts the token and says that it allows too little",
                "look into the registry's log: /v2/ needs no rights",
            ),
            Some(_) if about_time(answer) => Verdict::failure(
                format!("the token arrived and was refused: {}", said(answer)),
                format!(
                    "synchronize the clocks of the registry's and the token server's machines (NTP: \
                     `timedatectl set-ntp true`); {NOT_KEPT}"
                ),
            ),
            Some(_) => Verdict::failure(
                format!(
                    "the token arrived and was refused (invalid_token): issuer \"{}\", signed by {key}",
                    shown(issuer)
                ),
                format!(
                    "set `auth.token.issuer` of the registry to \"{}\", and `auth.token.rootcertbundle` \
                     to the certificate of that key (the auth-server's `bundle.pem`, GitLab's \
                     `registry_token.crt`), and see that its clock is right; with --registry-config on its \
                     host, doctor tells which",
                    shown(issuer)
                ),
            ),
        },
        (401, _) => Verdict::failure(
            "the token was refused, without a challenge that says why",
            "let the proxy pass `WWW-Authenticate` on as the registry sends it",
        ),
        (431 | 400, _) if answer.proxy().is_some() => Verdict::failure(
            format!(
                "the proxy refuses the token as too long ({})",
                answer.status
            ),
            "raise `large_client_header_buffers` of nginx, `LimitRequestFieldSize` of Apache",
        ),
        (status, _) => Verdict::failure(
            format!(
                "GET /v2/ with a token was answered {status}: {}",
                said(answer)
            ),
            "look into the registry's log",
        ),
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
