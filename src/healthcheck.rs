//! `healthcheck`: the probe of an image that has no shell and no curl.

use std::time::Duration;

use registry_server::config::{Configuration, Net};
use reqwest::Url;

use crate::failure::Failure;
use crate::{output, serve};

/// Shorter than what Docker gives a probe.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `healthcheck`
pub async fn run(url: Option<Url>) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url,
        None => registry()?,
    };
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        // It asks a port of its own machine for a status, by an address that no certificate names.
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()?;
    let answer = client.get(url.clone()).send().await?;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.text().await.unwrap_or_default();
        return Err(Failure::failed(format!("{url} answers {status}: {body}")));
    }
    output::line(&format!("{url} answers {status}"))?;
    Ok(())
}

/// `/readyz` of the registry that `registry serve` would be here.
fn registry() -> Result<Url, Failure> {
    let source = serve::registry_source(None);
    let (configuration, _) =
        service::config::load::<Configuration>(&serve::with_registry_secrets(source))
            .map_err(Failure::usage)?;
    let http = &configuration.http;
    if http.net == Net::Unix {
        return Err(Failure::usage(
            "the registry listens on a socket file; name the URL to ask",
        ));
    }
    address(&http.addr, http.tls.is_some())
}

/// Where a listener can be asked from its own machine.
fn address(listens: &str, tls: bool) -> Result<Url, Failure> {
    let scheme = if tls { "https" } else { "http" };
    let reachable = match listens.rsplit_once(':') {
        Some(("" | "0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => listens.to_owned(),
    };
    Url::parse(&format!("{scheme}://{reachable}/readyz"))
        .map_err(|error| Failure::usage(format!("http.addr {listens}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        for (listens, tls, asked) in [
            (":5000", false, "http://127.0.0.1:5000/readyz"),
            ("0.0.0.0:80", false, "http://127.0.0.1/readyz"),
            ("[::]:5000", true, "https://[::1]:5000/readyz"),
            ("192.0.2.7:5000", true, "https://192.0.2.7:5000/readyz"),
            ("localhost:5000", false, "http://localhost:5000/readyz"),
        ] {
            assert_eq!(address(listens, tls).unwrap().as_str(), asked);
        }
        assert!(address("a b:1", false).is_err());
    }
}
