//! TLS with real handshakes.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;

/// An authority and a directory with what it issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate and key in PEM form.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn write(&self, (certificate, key): &(String, String)) {
        std::fs::write(self.path("cert.pem"), certificate).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings::files(self.path("cert.pem"), self.path("key.pem"))
    }

    fn client(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([root])
            .tls_info(true)
    }
}

fn run_tls(settings: &TlsSettings) -> (Running, Tls) {
    let tls = Tls::load(settings).unwrap();
    let listener = Listener::new("test", local(), routes).tls(Some(tls.clone()));
    (run(options(), vec![listener]), tls)
}

/// The certificate the server shows to a new connection, in DER form.
async fn shown(authority: &Authority, server: &Running) -> Vec<u8> {
    let client = authority.client().build().unwrap();
    let response = client.get(server.url("/who")).send().await.unwrap();
    let info: &reqwest::tls::TlsInfo = response.extensions().get().unwrap();
    info.peer_certificate().unwrap().to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn https_with_http2_by_negotiation() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let (server, _) = run_tls(&authority.settings());
    let client = authority.client().build().unwrap();
    let response = client.get(server.url("/who")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let port = server.address().port();
    assert_eq!(
        response.text().await.unwrap(),
        format!("127.0.0.1 https://localhost:{port}/here")
    );
    let client = authority.client().http1_only().build().unwrap();
    let response = client.get(server.url("/who")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    server.end().await;
}

#[tokio::test]
async fn http2_is_not_offered_where_it_is_switched_off() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let tls = Tls::load(&authority.settings()).unwrap();
    let listener = Listener::new("test", local(), routes)
        .tls(Some(tls))
        .http2(false);
    let server = run(options(), vec![listener]);
    let client = authority.client().build().unwrap();
    let response = client.get(server.url("/who")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    let port = server.address().port();
    assert_eq!(
        response.text().await.unwrap(),
        format!("127.0.0.1 https://localhost:{port}/here")
    );
    // The connection is kept, and is in nobody's way.
    server.shutdown.begin();
    assert!(server.ended().await < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_http2_connection_does_not_hold_up_the_end() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let (server, _) = run_tls(&authority.settings());
    let client = authority.client().build().unwrap();
    let response = client.get(server.url("/who")).send().await.unwrap();
    response.bytes().await.unwrap();
    server.shutdown.begin();
    assert!(server.ended().await < Duration::from_secs(5));
}

#[tokio::test]
async fn the_minimum_version_is_kept() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let strict = TlsSettings {
        minimumtls: MinimumTls::Tls13,
        ..authority.settings()
    };
    for (settings, expected) in [(strict, false), (authority.settings(), true)] {
        let (server, _) = run_tls(&settings);
        let old = authority
            .client()
            .tls_version_max(reqwest::tls::Version::TLS_1_2)
            .build()
            .unwrap();
        let result = old.get(server.url("/who")).send().await;
        assert_eq!(result.is_ok(), expected, "{result:?}");
        server.end().await;
    }
}

#[tokio::test]
async fn client_certificates() {
    let authority = Authority::new();
    let stranger = Authority::new();
    authority.write(&authority.issue("localhost"));
    let identity = |(certificate, key): (String, String)| {
        reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    };
    for (clientauth, without, wrong) in [
        (ClientAuth::RequireAndVerifyClientCert, false, false),
        (ClientAuth::VerifyClientCertIfGiven, true, false),
    ] {
        let (server, _) = run_tls(&TlsSettings {
            clientcas: vec![authority.path("ca.pem")],
            clientauth,
            ..authority.settings()
        });
        let ask = async |client: reqwest::ClientBuilder| {
            let client = client.build().unwrap();
            client.get(server.url("/who")).send().await.is_ok()
        };
        let good = identity(authority.issue("alice"));
        assert!(ask(authority.client().identity(good)).await);
        assert_eq!(ask(authority.client()).await, without);
        let bad = identity(stranger.issue("mallory"));
        assert_eq!(ask(authority.client().identity(bad)).await, wrong);
        server.end().await;
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_under_open_connections() {
    let authority = Authority::new();
    let (old, new) = (authority.issue("localhost"), authority.issue("localhost"));
    authority.write(&old);
    let (server, tls) = run_tls(&authority.settings());
    let client = authority.client().http1_only().build().unwrap();
    let first = client.get(server.url("/who")).send().await.unwrap();
    first.bytes().await.unwrap();
    assert_eq!(shown(&authority, &server).await, der(&old.0));

    // Half a replacement: the new certificate with the old key.
    std::fs::write(authority.path("cert.pem"), &new.0).unwrap();
    assert_eq!(
        tls.reload().unwrap_err().to_string(),
        format!(
            "certificate {} and key {} do not belong together",
            authority.path("cert.pem").display(),
            authority.path("key.pem").display()
        )
    );
    assert_eq!(shown(&authority, &server).await, der(&old.0));

    std::fs::write(authority.path("key.pem"), &new.1).unwrap();
    assert!(tls.reload().unwrap());
    assert!(!tls.reload().unwrap(), "nothing has changed since");
    assert_eq!(shown(&authority, &server).await, der(&new.0));
    // The connection from before still works.
    let again = client.get(server.url("/who")).send().await.unwrap();
    assert_eq!(again.status(), 200);
    let info: &reqwest::tls::TlsInfo = again.extensions().get().unwrap();
    assert_eq!(info.peer_certificate(), Some(&der(&old.0)[..]));

    std::fs::remove_file(authority.path("key.pem")).unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(shown(&authority, &server).await, der(&new.0));
    server.end().await;
}

#[tokio::test]
async fn a_running_server_notices_a_new_certificate_by_itself() {
    let authority = Authority::new();
    let (old, new) = (authority.issue("localhost"), authority.issue("localhost"));
    authority.write(&old);
    let (server, _) = run_tls(&authority.settings());
    assert_eq!(shown(&authority, &server).await, der(&old.0));
    authority.write(&new);
    let noticed = async {
        while shown(&authority, &server).await != der(&new.0) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, noticed).await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn cipher_suites_by_their_iana_names() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let only = |names: &[&str]| TlsSettings {
        ciphersuites: names.iter().map(|name| (*name).to_owned()).collect(),
        ..authority.settings()
    };
    let (server, _) = run_tls(&only(&["TLS_AES_256_GCM_SHA384"]));
    shown(&authority, &server).await;
    server.end().await;
    let error = Tls::load(&only(&["TLS_RSA_WITH_RC4_128_SHA"])).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("unknown cipher suite `TLS_RSA_WITH_RC4_128_SHA`; known are TLS_AES_"),
        "{message}"
    );
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let authority = Authority::new();
    let refused = |settings: &TlsSettings| Tls::load(settings).unwrap_err().to_string();
    let named = |name: &str, message: &str| {
        message.replace("FILE", &authority.path(name).display().to_string())
    };
    assert_eq!(
        refused(&authority.settings()),
        named(
            "cert.pem",
            "cannot read FILE: No such file or directory (os error 2)"
        )
    );
    let (certificate, key) = authority.issue("localhost");
    authority.write(&(key.clone(), key.clone()));
    assert_eq!(
        refused(&authority.settings()),
        named("cert.pem", "FILE: no certificate in PEM form")
    );
    authority.write(&(certificate.clone(), certificate.clone()));
    let message = refused(&authority.settings());
    let expected = named("key.pem", "FILE: no private key in PEM form: ");
    assert!(message.starts_with(&expected), "{message}");
    authority.write(&(certificate, authority.issue("localhost").1));
    assert!(refused(&authority.settings()).ends_with("do not belong together"));
    authority.write(&authority.issue("localhost"));
    let cas = TlsSettings {
        clientcas: vec![authority.path("key.pem")],
        ..authority.settings()
    };
    assert_eq!(
        refused(&cas),
        named("key.pem", "FILE: no certificate in PEM form")
    );
}

#[tokio::test]
async fn a_plain_request_to_a_tls_listener_harms_nobody() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let (server, _) = run_tls(&authority.settings());
    exchange(server.address(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    shown(&authority, &server).await;
    server.end().await;
}

#[test]
fn no_tls_on_a_unix_socket() {
    let authority = Authority::new();
    authority.write(&authority.issue("localhost"));
    let tls = Tls::load(&authority.settings()).unwrap();
    let address = Address::Unix(Path::new("/nonexistent/socket").to_owned());
    let listener = Listener::new("main", address, routes).tls(Some(tls));
    let error = Server::bind(options(), vec![listener]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "main: TLS is not available on a Unix socket"
    );
}
