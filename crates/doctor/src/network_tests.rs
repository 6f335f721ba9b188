use super::*;
use crate::report::Status;

fn server(url: &str) -> Server {
    Server::of(&Url::parse(url).unwrap()).unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_url_names_a_server() {
    let one = server("https://registry.test/v2/");
    assert_eq!(
        (one.host.as_str(), one.port, one.tls),
        ("registry.test", 443, true)
    );
    let other = server("http://[::1]:5000");
    assert_eq!((other.port, other.tls), (5000, false));
    assert!(other.is_loopback());
    for loopback in [
        "http://localhost",
        "http://a.localhost",
        "http://127.8.9.1:1",
    ] {
        assert!(server(loopback).is_loopback(), "{loopback}");
    }
    for elsewhere in [
        "http://10.0.0.1",
        "http://localhost.test",
        "http://[fe80::1]",
    ] {
        assert!(!server(elsewhere).is_loopback(), "{elsewhere}");
    }
}

#[test]
fn a_host_without_address_is_named() {
    let server = server("https://registry.test");
    let failed = dns_verdict(&server, &Err("no such host".to_owned()));
    assert!(failed.message.contains("registry.test cannot be resolved"));
    assert!(dns_verdict(&server, &Ok(Vec::new())).is_failure());
    let found = dns_verdict(&server, &Ok(vec![at("192.0.2.7:443")]));
    assert_eq!(found, Verdict::ok("registry.test is 192.0.2.7"));
}

#[test]
fn closed_ports_and_firewalls_are_told_apart() {
    let server = server("https://registry.test");
    let one = |result| vec![(at("192.0.2.7:443"), result)];
    let fix = |attempts: &Attempts| port_verdict(&server, attempts).fix.unwrap();
    assert_eq!(port_verdict(&server, &one(Ok(()))).status, Status::Ok);
    assert!(fix(&one(Err(NoConnection::Refused))).contains("nothing listens"));
    assert!(fix(&one(Err(NoConnection::TimedOut))).contains("firewall"));
    let mut half = one(Ok(()));
    half.push((at("[2001:db8::1]:443"), Err(NoConnection::TimedOut)));
    let verdict = port_verdict(&server, &half);
    assert_eq!(verdict.status, Status::Warning);
    assert!(verdict.message.contains("2001:db8::1"), "{verdict:?}");
}

#[test]
fn plain_http_is_for_one_machine_alone() {
    assert_eq!(
        plain_verdict(&server("http://localhost:5000")).status,
        Status::Ok
    );
    let verdict = plain_verdict(&server("http://registry.test"));
    assert!(verdict.is_failure() && verdict.fix.unwrap().contains("http.tls"));
}

#[tokio::test]
async fn who_speaks_http_on_the_tls_port_is_found_out() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let server = server(&format!("https://{address}"));
    let result = handshake(&server, address).await;
    assert_eq!(result, Err(NoTls::NotTls));
    let verdict = handshake_verdict(&server, &result);
    assert!(verdict.message.contains("plain HTTP"), "{verdict:?}");
    for other in [NoTls::TimedOut, NoTls::Refused("alert".to_owned())] {
        assert!(handshake_verdict(&server, &Err(other)).is_failure());
    }
}
