//! Where a registry says that an upload goes on. Clients follow it to the letter.

use url::Url;

use crate::challenge::shown;
use crate::report::Verdict;

/// What was seen when an upload was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    pub location: Option<&'a str>,
    /// The same when the client itself says `X-Forwarded-Proto: https`, if that was tried.
    pub with_forwarded_proto: Option<&'a str>,
}

/// Whether it leads back to the registry; and the way to go on, on the registry's own origin
/// whatever was said: a token is sent there.
pub fn verdict(registry: &Url, seen: Seen<'_>) -> (Verdict, Option<Url>) {
    let Some(text) = seen.location else {
        let verdict = Verdict::failure(
            "the answer to an opened upload has no `Location`",
            "let the proxy pass `Location` on as the registry sends it",
        );
        return (verdict, None);
    };
    let base = crate::outside::api(registry, "");
    let Ok(target) = base.join(text) else {
        let verdict = Verdict::failure(
            format!("`Location` is no URL: {}", shown(text)),
            "let the proxy pass `Location` on as the registry sends it",
        );
        return (verdict, None);
    };
    let mut there = base.clone();
    there.set_path(target.path());
    there.set_query(target.query());
    let verdict = scheme(registry, &target, seen)
        .or_else(|| host(registry, &target))
        .or_else(|| path(&base, &target, &mut there))
        .unwrap_or_else(|| {
            Verdict::ok(if text.starts_with('/') {
                "relative: clients complete it by themselves".to_owned()
            } else {
                format!("leads to {}", shown(&origin(&target)))
            })
        });
    (verdict, Some(there))
}

fn scheme(registry: &Url, target: &Url, seen: Seen<'_>) -> Option<Verdict> {
    if registry.scheme() == target.scheme() {
        return None;
    }
    let message = format!(
        "`Location` is {}://…, the registry is behind {}://",
        shown(target.scheme()),
        registry.scheme()
    );
    let becomes_right = seen
        .with_forwarded_proto
        .and_then(|text| target.join(text).ok())
        .is_some_and(|url| url.scheme() == registry.scheme());
    Some(if becomes_right {
        Verdict::failure(
            format!("{message}: the proxy sets no `X-Forwarded-Proto`, but lets clients set it"),
            "let the proxy set `X-Forwarded-Proto` (nginx: `proxy_set_header X-Forwarded-Proto \
             $scheme`, Apache: `RequestHeader set X-Forwarded-Proto \"https\"`); \
             `X-Forwarded-Protocol`, as some guides have it, is read by nobody",
        )
    } else {
        Verdict::failure(
            message,
            "set `http.relativeurls: true` of the registry, or `http.host` to its https URL; or let \
             the proxy set `X-Forwarded-Proto $scheme` (not `X-Forwarded-Protocol`) and name it in \
             `http.trustedproxies`",
        )
    })
}

fn host(registry: &Url, target: &Url) -> Option<Verdict> {
    if registry.host_str() != target.host_str() {
        return Some(Verdict::failure(
            format!(
                "`Location` leads to {}, the registry is {}",
                shown(&origin(target)),
                origin(registry)
            ),
            "let the proxy pass the host on (nginx: `proxy_set_header Host $http_host`, Apache: \
             `ProxyPreserveHost on`), and correct `http.host` of the registry if it is set",
        ));
    }
    (registry.port_or_known_default() != target.port_or_known_default()).then(|| {
        Verdict::failure(
            format!(
                "`Location` leads to port {}, the registry is on {}",
                target.port_or_known_default().unwrap_or_default(),
                registry.port_or_known_default().unwrap_or_default()
            ),
            "let the proxy pass the port on with the host (nginx: `proxy_set_header Host \
             $http_host`, not `$host`), and correct `http.host` of the registry if it is set",
        )
    })
}

/// A prefix that the proxy takes off, and nobody puts on again.
fn path(base: &Url, target: &Url, there: &mut Url) -> Option<Verdict> {
    if target.path().starts_with(base.path()) {
        return None;
    }
    let prefix = base.path().strip_suffix("/v2/").unwrap_or_default();
    there.set_path(&format!("{prefix}{}", target.path()));
    Some(Verdict::failure(
        format!(
            "`Location` leads to {}, which is not below {}",
            shown(target.path()),
            base.path()
        ),
        "set `http.prefix` of the registry, or let the proxy set `X-Forwarded-Prefix` and name it \
         in `http.trustedproxies`",
    ))
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    fn at(registry: &str, location: &str) -> (Verdict, Option<Url>) {
        let seen = Seen {
            location: Some(location),
            with_forwarded_proto: None,
        };
        verdict(&registry.parse().unwrap(), seen)
    }

    #[test]
    fn what_leads_back_is_fine() {
        for (registry, location) in [
            ("https://r.test", "/v2/a/blobs/uploads/1?state=x"),
            ("https://r.test", "https://r.test/v2/a/blobs/uploads/1"),
            ("https://r.test", "https://r.test:443/v2/a/blobs/uploads/1"),
            (
                "https://r.test:8443",
                "https://r.test:8443/v2/a/blobs/uploads/1",
            ),
            ("https://r.test/pre/", "/pre/v2/a/blobs/uploads/1"),
        ] {
            let (verdict, there) = at(registry, location);
            assert_eq!(verdict.status, Status::Ok, "{location}: {verdict:?}");
            assert!(there.unwrap().path().ends_with("/v2/a/blobs/uploads/1"));
        }
    }

    #[test]
    fn what_leads_elsewhere_is_not_followed() {
        for (registry, location, words, fix) in [
            (
                "https://r.test",
                "http://r.test/v2/u",
                "`Location` is http://",
                "http.relativeurls",
            ),
            (
                "https://r.test",
                "https://registry:5000/v2/u",
                "https://registry:5000",
                "$http_host",
            ),
            (
                "https://r.test:8443",
                "https://r.test/v2/u",
                "port 443",
                "$http_host",
            ),
            (
                "https://r.test",
                "https://r.test:5000/v2/u",
                "port 5000",
                "$http_host",
            ),
            (
                "https://r.test/pre",
                "/v2/u",
                "not below /pre/v2/",
                "http.prefix",
            ),
        ] {
            let (verdict, there) = at(registry, location);
            assert!(
                verdict.is_failure() && verdict.message.contains(words),
                "{verdict:?}"
            );
            assert!(verdict.fix.unwrap().contains(fix));
            let base = crate::outside::api(&registry.parse().unwrap(), "u");
            assert_eq!(
                there.unwrap(),
                base,
                "the token must not leave the registry"
            );
        }
        let registry = "https://r.test".parse().unwrap();
        let (verdict, there) = verdict(&registry, Seen::default());
        assert!(verdict.is_failure() && there.is_none());
    }

    #[test]
    fn a_misspelt_header_is_found_by_saying_the_right_one() {
        let registry = "https://r.test".parse().unwrap();
        let seen = Seen {
            location: Some("http://r.test/v2/u"),
            with_forwarded_proto: Some("https://r.test/v2/u"),
        };
        let (verdict, _) = verdict(&registry, seen);
        assert!(verdict.message.contains("sets no `X-Forwarded-Proto`"));
        assert!(verdict.fix.unwrap().contains("X-Forwarded-Protocol"));
    }
}
