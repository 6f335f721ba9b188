//! Spoofing, chains, and whatever a header may hold.

use actix_web::test::TestRequest;
use proptest::prelude::*;

use super::*;
use crate::request::RequestContext;

fn trusting(entries: &[&str]) -> TrustedProxies {
    TrustedProxies::parse(entries.iter().copied()).unwrap()
}

/// Client and URL as a request from `peer` with these headers appears, over plain HTTP.
fn seen(proxies: &TrustedProxies, peer: &str, headers: &[(&str, &str)]) -> (String, String) {
    let mut request = TestRequest::with_uri("/").peer_addr(format!("{peer}:4711").parse().unwrap());
    for header in headers {
        request = request.append_header(*header);
    }
    let request = request.to_http_request();
    let context = RequestContext::new(request.head(), false, &proxies.clone().into());
    let client = context
        .client()
        .map_or_else(String::new, |ip| ip.to_string());
    let url = context.origin(&request).url("/v2/").unwrap_or_default();
    (client, url)
}

fn client(proxies: &TrustedProxies, peer: &str, headers: &[(&str, &str)]) -> String {
    seen(proxies, peer, headers).0
}

fn url(proxies: &TrustedProxies, headers: &[(&str, &str)]) -> String {
    let host = [("host", "own.example:5000")];
    let headers: Vec<_> = host.iter().chain(headers).copied().collect();
    seen(proxies, "10.0.0.1", &headers).1
}

#[test]
fn nobody_is_trusted_by_default() {
    let spoof = [
        ("host", "own.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1;proto=https;host=evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
        ("x-request-id", "chosen-by-the-client"),
    ];
    for peer in ["203.0.113.9", "127.0.0.1", "10.0.0.1", "[::1]"] {
        let (client, url) = seen(&TrustedProxies::default(), peer, &spoof);
        assert_eq!(client, peer.trim_matches(['[', ']']));
        assert_eq!(url, "http://own.example/v2/");
    }
}

#[test]
fn a_client_cannot_put_itself_behind_a_trusted_proxy() {
    let proxies = trusting(&["10.0.0.0/8"]);
    // The proxy appends the address it sees; what the client wrote stands before it.
    let spoofed = "1.1.1.1, 10.9.9.9, 203.0.113.9";
    assert_eq!(
        client(&proxies, "10.0.0.1", &[("x-forwarded-for", spoofed)]),
        "203.0.113.9"
    );
    // The same, where the proxy adds a line of its own.
    let lines = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    assert_eq!(client(&proxies, "10.0.0.1", &lines), "203.0.113.9");
}

#[test]
fn a_chain_of_trusted_proxies_is_followed_back() {
    let proxies = trusting(&["10.0.0.0/8", "2001:db8::/32"]);
    for (header, expected) in [
        ("203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("203.0.113.9,10.1.1.1 , 2001:db8::7", "203.0.113.9"),
        ("203.0.113.9:8080, [2001:db8::7]:443", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        // What cannot be read ends the walk at the last proxy that could.
        ("203.0.113.9, unknown, 10.1.1.1", "10.1.1.1"),
        ("203.0.113.9, , 10.1.1.1", "10.1.1.1"),
        ("unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("203.0.113.9:0", "10.0.0.1"),
        ("203.0.113.9:99999", "10.0.0.1"),
        ("[203.0.113.9]", "10.0.0.1"),
        ("[2001:db9::1", "10.0.0.1"),
        ("[2001:db9::1]x", "10.0.0.1"),
        ("[2001:db9::1]:443", "2001:db9::1"),
    ] {
        assert_eq!(
            client(&proxies, "10.0.0.1", &[("x-forwarded-for", header)]),
            expected,
            "{header}"
        );
    }
}

#[test]
fn a_socket_for_both_families_shows_ipv4_peers_as_ipv6() {
    let proxies = trusting(&["10.0.0.0/8"]);
    let header = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(
        client(&proxies, "[::ffff:10.0.0.1]", &header),
        "203.0.113.9"
    );
    assert_eq!(client(&proxies, "[::ffff:192.0.2.1]", &header), "192.0.2.1");
    let mapped = trusting(&["::ffff:10.0.0.0/104"]);
    assert_eq!(client(&mapped, "10.0.0.1", &header), "203.0.113.9");
}

#[test]
fn an_endless_chain_ends() {
    let proxies = trusting(&["10.0.0.0/8"]);
    let header = "10.0.0.1, ".repeat(MAX_HOPS * 2);
    let header = format!("203.0.113.9, {}", header.trim_end_matches(", "));
    assert_eq!(
        client(&proxies, "10.0.0.1", &[("x-forwarded-for", &header)]),
        "10.0.0.1"
    );
}

#[test]
fn x_real_ip_where_there_is_no_chain() {
    let proxies = trusting(&["10.0.0.1"]);
    let real = ("x-real-ip", "203.0.113.9");
    assert_eq!(client(&proxies, "10.0.0.1", &[real]), "203.0.113.9");
    assert_eq!(
        client(
            &proxies,
            "10.0.0.1",
            &[real, ("x-forwarded-for", "192.0.2.7")]
        ),
        "192.0.2.7"
    );
    assert_eq!(client(&proxies, "10.0.0.2", &[real]), "10.0.0.2");
}

#[test]
fn only_one_family_of_headers_is_believed() {
    let headers = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "x.example"),
        ("forwarded", "for=192.0.2.2;proto=https;host=f.example"),
        ("host", "own.example"),
    ];
    let x = trusting(&["10.0.0.1"]);
    let forwarded = x.clone().with_headers(ForwardedHeaders::Forwarded);
    assert_eq!(
        seen(&x, "10.0.0.1", &headers),
        ("192.0.2.1".to_owned(), "https://x.example/v2/".to_owned())
    );
    assert_eq!(
        seen(&forwarded, "10.0.0.1", &headers),
        ("192.0.2.2".to_owned(), "https://f.example/v2/".to_owned())
    );
}

#[test]
fn forwarded_as_rfc_7239_writes_it() {
    let proxies = trusting(&["10.0.0.0/8"]).with_headers(ForwardedHeaders::Forwarded);
    for (header, expected) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=1.1.1.1, for=203.0.113.9", "203.0.113.9"),
        ("for=203.0.113.9, for=10.1.1.1;by=x", "203.0.113.9"),
        ("for=203.0.113.9, for=_hidden", "10.0.0.1"),
        ("by=203.0.113.43", "10.0.0.1"),
        ("for", "10.0.0.1"),
    ] {
        assert_eq!(
            client(&proxies, "10.0.0.1", &[("forwarded", header)]),
            expected,
            "{header}"
        );
    }
}

#[test]
fn scheme_host_and_prefix_of_a_trusted_proxy() {
    let proxies = trusting(&["10.0.0.1"]);
    for (headers, expected) in [
        (&[][..], "http://own.example:5000/v2/"),
        (
            &[("x-forwarded-proto", "https")],
            "https://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-proto", "HTTPS, http")],
            "https://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-proto", "javascript")],
            "http://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-host", "Hub.Example:8443")],
            "http://hub.example:8443/v2/",
        ),
        (
            &[("x-forwarded-host", "a.example, b.example")],
            "http://a.example/v2/",
        ),
        (
            &[("x-forwarded-host", "a.example/evil?")],
            "http://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-host", "user@a.example")],
            "http://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-prefix", "/hub/registry/")],
            "http://own.example:5000/hub/registry/v2/",
        ),
        (
            &[("x-forwarded-prefix", "/")],
            "http://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-prefix", "//evil.example")],
            "http://own.example:5000/v2/",
        ),
        (
            &[("x-forwarded-prefix", "/../x")],
            "http://own.example:5000/v2/",
        ),
        (
            // The client's line and the proxy's.
            &[
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-host", "good.example"),
            ],
            "http://good.example/v2/",
        ),
    ] {
        assert_eq!(url(&proxies, headers), expected, "{headers:?}");
    }
}

#[test]
fn a_host_that_is_no_host_gives_no_url() {
    let proxies = TrustedProxies::default();
    for host in [
        "a b", "a/b", "evil\"", "<x>", "a:b:c", "a:0", "a:65536", "-a", "a..b", "",
    ] {
        assert_eq!(
            seen(&proxies, "10.0.0.1", &[("host", host)]).1,
            "",
            "{host}"
        );
    }
    for host in [
        "a",
        "registry_1:5000",
        "a.example.",
        "192.0.2.1",
        "[2001:db8::1]:443",
    ] {
        let (_, url) = seen(&proxies, "10.0.0.1", &[("host", host)]);
        assert_eq!(url, format!("http://{host}/v2/"));
    }
}

#[test]
fn request_ids_come_from_trusted_proxies_only() {
    let request = |peer: &str| {
        let request = TestRequest::default()
            .peer_addr(peer.parse().unwrap())
            .insert_header(("x-request-id", "abc-1"))
            .to_http_request();
        let proxies = trusting(&["10.0.0.1"]).into();
        RequestContext::new(request.head(), false, &proxies)
            .id()
            .to_string()
    };
    assert_eq!(request("10.0.0.1:1"), "abc-1");
    assert_ne!(request("10.0.0.2:1"), "abc-1");
}

#[test]
fn a_peer_on_a_unix_socket() {
    let request = TestRequest::default()
        .insert_header(("x-forwarded-for", "203.0.113.9"))
        .to_http_request();
    let client = |entries: &[&str]| {
        RequestContext::new(request.head(), false, &trusting(entries).into()).client()
    };
    assert_eq!(client(&["loopback", "private"]), None);
    assert_eq!(client(&["unix"]), Some("203.0.113.9".parse().unwrap()));
}

#[test]
fn words_for_networks() {
    let trusted = trusting(&["loopback", "private"]);
    for (address, expected) in [
        ("127.8.8.8", true),
        ("::1", true),
        ("10.1.1.1", true),
        ("172.31.255.255", true),
        ("172.32.0.0", false),
        ("192.168.1.1", true),
        ("fd00::1", true),
        ("fe80::1", false),
        ("8.8.8.8", false),
        ("::ffff:10.0.0.1", true),
    ] {
        assert_eq!(
            trusted.trusts(address.parse().unwrap()),
            expected,
            "{address}"
        );
    }
    for entry in [
        "",
        "10.0.0.0/33",
        "10.0.0",
        "proxy",
        "Loopback",
        "10.0.0.1 ",
    ] {
        assert!(TrustedProxies::parse([entry]).is_err(), "{entry:?}");
    }
}

/// Header values as a client could make them: pieces that mean something, and anything else.
fn header_value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "10.0.0.1",
            "203.0.113.9",
            "::1",
            "[",
            "]",
            ":",
            ",",
            ";",
            "=",
            "\"",
            "for",
            "host",
            "proto",
            "https",
            "/",
            "..",
            "a.example",
            ":443",
            " ",
            "@",
            "\t",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,8}",
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_untrusted_peer_is_itself_whatever_it_says(value in header_value()) {
        let value = actix_web::http::header::HeaderValue::from_str(&value);
        prop_assume!(value.is_ok());
        let value = value.unwrap();
        let request = TestRequest::default()
            .peer_addr("203.0.113.1:1".parse().unwrap())
            .insert_header(("x-forwarded-for", value.clone()))
            .insert_header(("x-real-ip", value.clone()))
            .insert_header(("forwarded", value.clone()))
            .insert_header(("x-forwarded-proto", "https"))
            .insert_header(("x-forwarded-prefix", value))
            .insert_header(("host", "own.example"))
            .to_http_request();
        let context = RequestContext::new(request.head(), false, &trusting(&["10.0.0.0/8"]).into());
        prop_assert_eq!(context.client(), Some("203.0.113.1".parse().unwrap()));
        let url = context.origin(&request).url("/");
        prop_assert_eq!(url.as_deref(), Some("http://own.example/"));
    }

    #[test]
    fn a_url_is_always_a_url_to_one_host(
        host in header_value(), prefix in header_value(), chain in header_value(), rfc in any::<bool>(),
    ) {
        let value = |text: &str| actix_web::http::header::HeaderValue::from_str(text);
        let (Ok(host), Ok(prefix), Ok(chain)) = (value(&host), value(&prefix), value(&chain)) else {
            return Ok(());
        };
        let request = TestRequest::default()
            .peer_addr("10.0.0.1:1".parse().unwrap())
            .insert_header(("x-forwarded-for", chain.clone()))
            .insert_header(("forwarded", chain))
            .insert_header(("x-forwarded-host", host))
            .insert_header(("x-forwarded-prefix", prefix))
            .insert_header(("host", "own.example"))
            .to_http_request();
        let headers = if rfc { ForwardedHeaders::Forwarded } else { ForwardedHeaders::XForwarded };
        let proxies = trusting(&["10.0.0.0/8"]).with_headers(headers);
        let context = RequestContext::new(request.head(), false, &proxies.into());
        prop_assert!(context.client().is_some());
        let text = context.origin(&request).url("/v2/").unwrap();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert!(!text.contains(['"', '<', '>', '@', '?', '#', '\\', ',', ';']));
        let uri: actix_web::http::Uri = text.parse().unwrap();
        prop_assert!(uri.path().ends_with("/v2/"));
        prop_assert!(!uri.path().starts_with("//"));
        prop_assert!(!uri.path().contains(".."));
    }
}
