//! Verdicts on what both servers must agree on.

use registry_token::TrustedKeys;

use super::RegistrySide;
use crate::challenge::shown;
use crate::difference::difference;
use crate::report::Verdict;
use crate::token::Belief;

/// `token.services` of the auth-server against `auth.token.service` of the registry.
pub(super) fn service(known: &[String], registry: &str) -> Verdict {
    if known.iter().any(|service| service == registry) {
        return Verdict::ok(format!("\"{}\" on both sides", shown(registry)));
    }
    let hint = match known {
        [one] => difference(one, registry).unwrap_or_default(),
        _ => String::new(),
    };
    Verdict::failure(
        format!(
            "the registry calls itself \"{}\", the auth-server knows \"{}\"{hint}",
            shown(registry),
            shown(&known.join("\", \""))
        ),
        "make `auth.token.service` of the registry one of `token.services` of the auth-server, to \
         the letter",
    )
}

/// The path of the realm against those that an auth-server answers at.
pub(super) fn realm(realm: &str) -> Verdict {
    let path = realm.split(['?', '#']).next().unwrap_or(realm);
    if path.ends_with("/auth/token") || path.ends_with("/jwt/auth") {
        return Verdict::ok(shown(realm));
    }
    Verdict::warning(
        format!(
            "the auth-server does not answer at the path of {}",
            shown(realm)
        ),
        "let `auth.token.realm` of the registry end in /auth/token or /jwt/auth, unless a proxy \
         rewrites it",
    )
}

/// The keys that the auth-server publishes against those that the registry believes.
pub(super) fn keys(signers: &TrustedKeys, belief: &Belief) -> Verdict {
    let source = &belief.source;
    let unknown: Vec<String> = signers
        .public_keys()
        .filter(|key| !belief.keys.public_keys().any(|known| known == *key))
        .map(registry_token::PublicKey::libtrust_id)
        .collect();
    let fix = "set `auth.token.rootcertbundle` of the registry to the auth-server's `bundle.pem` \
               itself, or copy it there again: both files are read anew when they change";
    match unknown.as_slice() {
        _ if signers.is_empty() => Verdict::skipped("the auth-server has published no key"),
        [] => Verdict::ok(format!(
            "the registry believes every key of the auth-server, by {source}"
        )),
        _ if unknown.len() == signers.len() => Verdict::failure(
            format!(
                "the registry believes none of the auth-server's keys: {} is not in {source}",
                unknown.join(", ")
            ),
            fix,
        ),
        _ => Verdict::warning(
            format!(
                "the registry does not know the auth-server's key {}, which is not in {source}",
                unknown.join(", ")
            ),
            fix,
        ),
    }
}

/// The algorithms of these keys against those that the registry allows.
pub(super) fn algorithm(signers: &TrustedKeys, belief: &Belief) -> Verdict {
    let allowed = &belief.algorithms;
    let fits = |key: &registry_token::PublicKey| allowed.iter().any(|one| one.fits(key.kind()));
    match signers.public_keys().find(|key| !fits(key)) {
        None => Verdict::ok("the registry allows the algorithms of the auth-server's keys"),
        Some(key) => {
            let names: Vec<&str> = allowed.iter().map(|one| one.as_str()).collect();
            Verdict::failure(
                format!(
                    "the auth-server signs with a key of the kind {:?}, the registry allows {} only",
                    key.kind(),
                    names.join(", ")
                ),
                "add its algorithm to `auth.token.signingalgorithms` of the registry, or remove that \
                 setting",
            )
        }
    }
}

/// What `Location` will say, by the settings alone.
pub(super) fn location(registry: &RegistrySide) -> Verdict {
    let realm = registry
        .tokens
        .as_ref()
        .and_then(|tokens| tokens.realm.as_ref());
    if let Some(host) = &registry.host {
        let behind_tls = realm.is_some_and(|realm| realm.starts_with("https://"));
        if host.starts_with("http://") && behind_tls {
            return Verdict::failure(
                format!("`http.host` is {}, while the realm is https", shown(host)),
                "set `http.host` to the https URL that clients see, or remove it: `Location` is \
                 relative then",
            );
        }
        return Verdict::ok(format!("`Location` begins with {}", shown(host)));
    }
    if registry.location_from_request && !registry.trusts_proxies && !registry.serves_https {
        return Verdict::warning(
            "`http.relativeurls` is false and `http.trustedproxies` is empty: behind a proxy with \
             TLS, `Location` will be http",
            "name the proxy in `http.trustedproxies`, or remove `http.relativeurls`",
        );
    }
    Verdict::ok(if registry.location_from_request {
        "`Location` is built from what trusted proxies say"
    } else {
        "`Location` is relative"
    })
}

#[cfg(test)]
#[path = "pairing_tests.rs"]
mod tests;
