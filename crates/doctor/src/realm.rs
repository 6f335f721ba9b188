//! Verdicts on the realm: the URL that a registry sends its clients to for tokens.

use url::Url;

use crate::challenge::shown;
use crate::http::{Answer, Trouble};
use crate::network::Server;
use crate::report::Verdict;

/// Where the setting is.
pub const SETTING: &str = "`auth.token.realm` of the registry (`REGISTRY_AUTH_TOKEN_REALM`)";

/// The URL itself, seen from who got it from that registry.
pub fn url_verdict(registry: &Url, realm: &Url) -> Verdict {
    let (Some(registry_server), Some(server)) = (Server::of(registry), Server::of(realm)) else {
        return Verdict::failure("the realm names no host", format!("correct {SETTING}"));
    };
    let host = &server.host;
    if registry_server.tls && !server.tls {
        return Verdict::failure(
            format!(
                "the registry is behind https, and the realm is http: {}",
                shown(realm.as_str())
            ),
            format!(
                "set {SETTING} to https://; with `autoredirect`, let the proxy set \
                 `X-Forwarded-Proto $scheme` and name it in `http.trustedproxies`: passwords go there"
            ),
        );
    }
    if server.is_loopback() && !registry_server.is_loopback() {
        return Verdict::failure(
            format!("the realm is on {host}: every client takes that for itself"),
            format!("set {SETTING} to the URL of the token server as clients see it"),
        );
    }
    if !server.tls && !server.is_loopback() {
        return Verdict::failure(
            "the realm is http: passwords can be read on the way",
            format!("put TLS before the token server, and set {SETTING} to https://"),
        );
    }
    let bare =
        host.parse::<std::net::IpAddr>().is_err() && !host.contains('.') && host != "localhost";
    if bare && host != &registry_server.host {
        return Verdict::warning(
            format!("the realm's host `{host}` is a short name, which only some networks know"),
            format!("set {SETTING} to the host name that all clients know"),
        );
    }
    Verdict::ok(format!("{host} is where clients get tokens"))
}

/// What the realm says to who asks for a token of this service without credentials.
pub fn answer_verdict(answer: &Result<Answer, Trouble>, realm: &Url, service: &str) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(trouble) => {
            return Verdict::failure(
                format!("the realm does not answer: {trouble}"),
                "look into the logs of the proxy and of the token server at this moment",
            );
        }
    };
    let json = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let path = realm.path();
    let who = answer.proxy().unwrap_or("something");
    match answer.status {
        200 if json.as_ref().is_some_and(has_token) => {
            Verdict::ok("the realm hands out tokens, also to who is not logged in")
        }
        401 | 403 => Verdict::ok("the realm asks for a login"),
        400 if answer.text().contains("service") => Verdict::failure(
            format!(
                "the token server knows no service \"{}\": {}",
                shown(service),
                said(answer)
            ),
            "make `auth.token.service` of the registry one of `token.services` of the auth-server, \
             to the letter",
        ),
        429 => Verdict::warning(
            "the token server has had too many wrong passwords from here (429)",
            "wait a while, and correct the password that some machine keeps sending",
        ),
        404 | 405 => Verdict::failure(
            format!("there is no token server at {path} ({})", answer.status),
            format!(
                "correct the path of {SETTING} (/auth/token or /jwt/auth), and let the proxy pass it \
                 to the token server unchanged"
            ),
        ),
        301 | 302 | 303 | 307 | 308 => Verdict::failure(
            format!(
                "the realm is redirected to {}, which clients do not follow with a password",
                shown(answer.header("location").unwrap_or_default())
            ),
            format!("set {SETTING} to the final URL"),
        ),
        502..=504 => Verdict::failure(
            format!(
                "{who} is there, the token server behind it is not ({})",
                answer.status
            ),
            "start the token server, and set the proxy's upstream (`proxy_pass`, `ProxyPass`) to its \
             `http.addr`",
        ),
        200 => Verdict::failure(
            format!("what answers at {path} is no token server: it sent no token"),
            format!("correct {SETTING}; it may be the page of another server"),
        ),
        status => Verdict::failure(
            format!("the realm answered {status}: {}", said(answer)),
            "look into the log of the token server",
        ),
    }
}

fn has_token(body: &serde_json::Value) -> bool {
    body["token"].is_string() || body["access_token"].is_string()
}

/// What an answer says for people, shortened.
pub fn said(answer: &Answer) -> String {
    let body = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    let message = [
        "/errors/0/message",
        "/message",
        "/details",
        "/error_description",
    ]
    .iter()
    .find_map(|pointer| body.pointer(pointer)?.as_str());
    match message {
        Some(message) => shown(message),
        None if answer.proxy().is_some() => {
            format!("a page of {}", answer.proxy().unwrap_or("a proxy"))
        }
        None => shown(answer.text().trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;
    use crate::testing::answer;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_realm_must_be_where_clients_can_go_safely() {
        let at = |realm: &str| url_verdict(&url("https://registry.test"), &url(realm));
        assert_eq!(at("https://auth.test/auth/token").status, Status::Ok);
        assert!(
            at("http://auth.test/token")
                .message
                .contains("behind https")
        );
        assert!(
            at("https://localhost/token")
                .message
                .contains("takes that for itself")
        );
        assert!(
            at("https://127.0.0.1:5001/token")
                .message
                .contains("for itself")
        );
        assert_eq!(at("https://auth:5001/token").status, Status::Warning);
        let local = url("http://localhost:5000");
        let plain = url_verdict(&local, &url("http://auth.test/token"));
        assert!(plain.is_failure() && plain.message.contains("can be read"));
        let same = url_verdict(&local, &url("http://localhost:5001/auth/token"));
        assert_eq!(same.status, Status::Ok);
        let short = url("https://registry");
        assert_eq!(
            url_verdict(&short, &url("https://registry/auth")).status,
            Status::Ok
        );
    }

    fn verdict(status: u16, body: &str) -> Verdict {
        let json = [("content-type", "application/json")];
        let realm = url("https://auth.test/auth/token");
        answer_verdict(&Ok(answer(status, &json, body)), &realm, "registry")
    }

    #[test]
    fn token_servers_are_told_from_other_servers() {
        assert_eq!(verdict(200, r#"{"token":"x"}"#).status, Status::Ok);
        assert_eq!(verdict(200, r#"{"access_token":"x"}"#).status, Status::Ok);
        assert_eq!(verdict(401, "").status, Status::Ok);
        assert_eq!(verdict(403, "").status, Status::Ok);
        assert!(verdict(200, "<html>").message.contains("no token server"));
        assert!(verdict(404, "").fix.unwrap().contains("auth.token.realm"));
        let unknown = verdict(400, r#"{"errors":[{"message":"no service registry"}]}"#);
        assert!(
            unknown.message.contains("knows no service \"registry\""),
            "{unknown:?}"
        );
        assert!(unknown.fix.unwrap().contains("token.services"));
        assert!(verdict(502, "").message.contains("behind it is not"));
        assert!(verdict(302, "").message.contains("redirected"));
        assert_eq!(verdict(429, "").status, Status::Warning);
        assert!(verdict(500, "boom").message.contains("answered 500: boom"));
        let realm = url("https://auth.test/auth/token");
        let silent = answer_verdict(&Err(Trouble::TimedOut), &realm, "registry");
        assert!(silent.message.contains("does not answer"));
    }
}
