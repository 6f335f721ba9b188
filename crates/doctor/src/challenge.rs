//! The challenge: what an answer of 401 says about where to get a token.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use url::Url;

use crate::http::Answer;
use crate::report::Verdict;

/// A `Bearer` challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    pub realm: Option<String>,
    pub service: Option<String>,
    pub error: Option<String>,
}

/// What asks for credentials in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Bearer(Challenge),
    Basic,
    /// The header is there and cannot be read.
    Malformed(String),
    Nothing,
}

impl Asked {
    /// What the `WWW-Authenticate` headers of an answer ask for.
    pub fn by(answer: &Answer) -> Self {
        let headers: Vec<&str> = answer.header_values("www-authenticate").collect();
        let challenges: Vec<Self> = headers.iter().map(|header| parse(header)).collect();
        let bearer = challenges.iter().find(|one| matches!(one, Self::Bearer(_)));
        bearer
            .or(challenges.first())
            .cloned()
            .unwrap_or(Self::Nothing)
    }
}

fn parse(header: &str) -> Asked {
    let header = header.trim();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Asked::Basic;
    }
    let Some(parameters) = scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| parameters(rest))
        .flatten()
    else {
        return Asked::Malformed(shown(header));
    };
    let value = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    Asked::Bearer(Challenge {
        realm: value("realm"),
        service: value("service"),
        error: value("error"),
    })
}

/// `name="value",other=token`; `None` if it is something else.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || name.contains([' ', '"', ',']) {
            return None;
        }
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => match rest.split_once(',') {
                Some((value, rest)) => (value.trim().to_owned(), rest),
                None => (rest.trim().to_owned(), ""),
            },
        };
        found.push((name.to_owned(), value));
        text = rest;
    }
}

/// Up to the closing quotation mark, and what is behind it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Enough of a foreign text to recognize it.
pub fn shown(text: &str) -> String {
    registry_token::ShownText::new(text).to_string()
}

/// How a registry lets people in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// By token.
    Token { realm: Url, service: String },
    /// By password, without tokens.
    Password,
    /// Anybody.
    Open,
}

/// What `GET /v2/` without credentials says, and how to go on from there.
pub fn entrance(answer: &Answer) -> (Verdict, Option<Entrance>) {
    match answer.status {
        200 => (
            Verdict::warning(
                "the registry lets everybody in without asking for a token",
                "set `auth.token` in the registry's configuration, unless that is meant",
            ),
            Some(Entrance::Open),
        ),
        401 => match Asked::by(answer) {
            Asked::Bearer(challenge) => bearer(&challenge),
            Asked::Basic => (
                Verdict::ok("the registry asks for a password itself, without tokens"),
                Some(Entrance::Password),
            ),
            Asked::Malformed(header) => (
                Verdict::failure(
                    format!("the challenge cannot be read: WWW-Authenticate: {header}"),
                    "let the proxy pass `WWW-Authenticate` on as the registry sends it",
                ),
                None,
            ),
            Asked::Nothing => (
                Verdict::failure(
                    "401 without a `WWW-Authenticate` header: clients cannot know where to get a \
                     token",
                    "let the proxy pass `WWW-Authenticate` on (no `proxy_hide_header`, no \
                     `Header unset`), and do not protect /v2/ in the proxy itself",
                ),
                None,
            ),
        },
        _ => (unexpected(answer), None),
    }
}

fn bearer(challenge: &Challenge) -> (Verdict, Option<Entrance>) {
    let Some(realm) = &challenge.realm else {
        let verdict = Verdict::failure(
            "the challenge names no realm",
            "set `auth.token.realm` of the registry to the URL of the token endpoint",
        );
        return (verdict, None);
    };
    let url = Url::parse(realm).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
    });
    let Some(url) = url else {
        let verdict = Verdict::failure(
            format!("the realm \"{}\" is no http or https URL", shown(realm)),
            "set `auth.token.realm` of the registry to the whole URL of the token endpoint, such \
             as https://auth.example.com/auth/token",
        );
        return (verdict, None);
    };
    let Some(service) = challenge
        .service
        .as_ref()
        .filter(|service| !service.is_empty())
    else {
        let verdict = Verdict::failure(
            "the challenge names no service",
            "set `auth.token.service` of the registry, to what the token server calls it",
        );
        return (verdict, None);
    };
    let verdict = Verdict::ok(format!(
        "realm {}, service \"{}\"",
        shown(realm),
        shown(service)
    ));
    let entrance = Entrance::Token {
        realm: url,
        service: service.clone(),
    };
    (verdict, Some(entrance))
}

fn unexpected(answer: &Answer) -> Verdict {
    let status = answer.status;
    let who = answer.proxy().unwrap_or("a proxy");
    match status {
        301 | 302 | 303 | 307 | 308 => {
            let target = shown(answer.header("location").unwrap_or_default());
            Verdict::failure(
                format!("GET /v2/ is redirected ({status}) to {target}"),
                "let the proxy pass /v2/ to the registry without a redirect; clients do not follow \
                 it. If it goes to https, use https:// here and with clients",
            )
        }
        403 => Verdict::failure(
            format!("{who} forbids GET /v2/ (403)"),
            "allow /v2/ in the proxy: the registry itself decides who may come in",
        ),
        404 => Verdict::failure(
            format!("there is no registry at this address: GET /v2/ was answered 404 by {who}"),
            "pass /v2/ to the registry with its path unchanged (a `proxy_pass` without a path \
             behind the host), or correct the URL",
        ),
        // Ours says so itself; what proxies say in its place speaks of reaching it.
        503 if answer.error_code().is_some() && !answer.text().contains("cannot be reached") => {
            Verdict::failure(
                format!(
                    "the registry is not well (503): {}",
                    crate::realm::said(answer)
                ),
                "see that its storage is writable and its database is there: run doctor with \
                 --registry-config on its host",
            )
        }
        502..=504 => Verdict::failure(
            format!("{who} is there, the registry behind it is not ({status})"),
            "start the registry, and set the proxy's upstream (`proxy_pass`, `ProxyPass`) to the \
             address that it listens on (`http.addr`)",
        ),
        400 if answer
            .text()
            .contains("plain HTTP request was sent to HTTPS port") =>
        {
            Verdict::failure(
                "the port speaks TLS, and was asked in plain HTTP",
                "use https:// in the URL",
            )
        }
        400 if answer
            .text()
            .contains("Client sent an HTTP request to an HTTPS server") =>
        {
            Verdict::failure(
                "the port speaks TLS, and was asked in plain HTTP",
                "use https:// in the URL; if a proxy asks like this, its upstream must be https://",
            )
        }
        _ => Verdict::failure(
            format!("GET /v2/ was answered {status}, and not 401 with a challenge"),
            "see that the URL is the registry's, and look into its log",
        ),
    }
}

/// Old clients take a server without this header for no registry of version 2.
pub fn version_verdict(answer: &Answer) -> Verdict {
    match answer.header("docker-distribution-api-version") {
        Some(version) if version.contains("registry/2.0") => Verdict::ok("registry/2.0"),
        Some(other) => Verdict::warning(
            format!("`Docker-Distribution-Api-Version` is \"{}\"", shown(other)),
            "let the proxy pass the header on as the registry sends it: registry/2.0",
        ),
        None => Verdict::warning(
            "`Docker-Distribution-Api-Version` is missing: older clients take this for no registry",
            "let the proxy pass it on (no `proxy_hide_header`, no `Header unset`), on errors too",
        ),
    }
}

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
