use std::path::Path;

use proptest::prelude::*;

use super::super::super::settings::{CertificateSource, TlsSettings};
use super::*;
use crate::config::{self, Source};

#[derive(Debug, Deserialize)]
struct Configuration {
    tls: TlsSettings,
}

fn read(yaml: &str) -> Result<TlsSettings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml).unwrap();
    let none: [(&str, &str); 0] = [];
    let source = Source::new("REGISTRY").file(&file).variables(none);
    let (configuration, _) =
        config::load::<Configuration>(&source).map_err(|error| error.to_string())?;
    Ok(configuration.tls)
}

fn ordered(settings: TlsSettings) -> LetsEncryptSettings {
    match settings.source {
        CertificateSource::LetsEncrypt(settings) => settings,
        CertificateSource::Files { .. } => panic!("files"),
    }
}

#[test]
fn every_setting_of_distribution_is_read() {
    let yaml = "tls:
  minimumtls: tls1.3
  letsencrypt:
    cachefile: /var/lib/acme.json
    email: admin@example.com
    hosts: [Registry.Example.com, registry.example.com, xn--bcher-kva.example]
    directoryurl: https://acme.internal:8443/directory
";
    assert_eq!(
        ordered(read(yaml).unwrap()),
        LetsEncryptSettings {
            cachefile: "/var/lib/acme.json".into(),
            email: Some("admin@example.com".to_owned()),
            // As the DNS compares them.
            hosts: vec![
                "registry.example.com".to_owned(),
                "xn--bcher-kva.example".to_owned()
            ],
            directoryurl: "https://acme.internal:8443/directory".to_owned(),
        }
    );
}

#[test]
fn two_settings_are_enough() {
    for more in ["", ", email: '', directoryurl: ''"] {
        let yaml = format!("tls: {{letsencrypt: {{cachefile: a, hosts: [r.test]{more}}}}}\n");
        let settings = ordered(read(&yaml).unwrap());
        assert_eq!(settings.email, None);
        assert_eq!(
            settings.directoryurl,
            "https://acme-v02.api.letsencrypt.org/directory"
        );
    }
}

#[test]
fn variables_alone_do_as_well() {
    let variables = [
        ("REGISTRY_TLS_LETSENCRYPT_CACHEFILE", "/cache"),
        ("REGISTRY_TLS_LETSENCRYPT_HOSTS", "[a.test, b.test]"),
        ("REGISTRY_TLS_LETSENCRYPT_EMAIL", "a@a.test"),
        (
            "REGISTRY_TLS_LETSENCRYPT_DIRECTORYURL",
            "https://ca.test/dir",
        ),
    ];
    let source = Source::new("REGISTRY").variables(variables);
    let (configuration, _) = config::load::<Configuration>(&source).unwrap();
    let settings = ordered(configuration.tls);
    assert_eq!(settings.hosts, ["a.test", "b.test"]);
    assert_eq!(settings.cachefile, Path::new("/cache"));
    assert_eq!(settings.email.unwrap(), "a@a.test");
    assert_eq!(settings.directoryurl, "https://ca.test/dir");
}

#[test]
fn what_cannot_work_is_refused_at_its_place() {
    for (section, says) in [
        ("cachefile: a", "letsencrypt.hosts: required"),
        ("hosts: [a.test]", "letsencrypt.cachefile: required"),
        (
            "cachefile: a, hosts: []",
            "letsencrypt.hosts: name the hosts",
        ),
        (
            "cachefile: '', hosts: [a.test]",
            "letsencrypt.cachefile: name the file",
        ),
        (
            "cachefile: a, hosts: [a.test, '*.b.test']",
            "hosts.1: `*.b.test` stands for many",
        ),
        (
            "cachefile: a, hosts: [192.0.2.7]",
            "`192.0.2.7` is an address",
        ),
        ("cachefile: a, hosts: ['2001:db8::7']", "is an address"),
        ("cachefile: a, hosts: ['[::1]']", "is an address"),
        ("cachefile: a, hosts: [bücher.test]", "xn--"),
        (
            "cachefile: a, hosts: ['https://a.test']",
            "without scheme and port",
        ),
        (
            "cachefile: a, hosts: ['a.test:443']",
            "without scheme and port",
        ),
        ("cachefile: a, hosts: ['']", "is no host name"),
        ("cachefile: a, hosts: [a..test]", "is no host name"),
        ("cachefile: a, hosts: [-a.test]", "is no host name"),
        ("cachefile: a, hosts: [a_b.test]", "is no host name"),
        (
            "cachefile: a, hosts: [a.test], email: admin",
            "email: `admin` is no e-mail",
        ),
        (
            "cachefile: a, hosts: [a.test], email: 'a@b?x=y'",
            "no e-mail address",
        ),
        (
            "cachefile: a, hosts: [a.test], email: '@b'",
            "no e-mail address",
        ),
        (
            "cachefile: a, hosts: [a.test], directoryurl: 'http://ca'",
            "is no https URL",
        ),
        (
            "cachefile: a, hosts: [a.test], directoryurl: staging",
            "is no https URL",
        ),
        ("cachefile: a, host: [a.test]", "did you mean `hosts`"),
    ] {
        let error = read(&format!("tls: {{letsencrypt: {{{section}}}}}\n")).unwrap_err();
        assert!(error.contains("tls.letsencrypt"), "{section}: {error}");
        assert!(error.contains(says), "{section}: {error}");
    }
}

#[test]
fn a_certificate_comes_from_one_place() {
    let ordered = "letsencrypt: {cachefile: a, hosts: [a.test]}";
    for files in ["certificate: a, key: b", "certificate: a", "key: b"] {
        let error = read(&format!("tls: {{{files}, {ordered}}}\n")).unwrap_err();
        assert!(error.contains("not both"), "{files}: {error}");
    }
    for (files, missing) in [
        ("minimumtls: tls1.3", "tls.certificate"),
        ("certificate: a", "tls.key"),
        ("key: a", "tls.certificate"),
    ] {
        let error = read(&format!("tls: {{{files}}}\n")).unwrap_err();
        let expected = format!("{missing}: required, but not set");
        assert!(error.contains(&expected), "{files}: {error}");
    }
}

proptest! {
    #[test]
    fn names_of_the_dns_are_accepted(
        labels in prop::collection::vec("[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?", 1..6)
    ) {
        let name = labels.join(".");
        prop_assume!(name.parse::<IpAddr>().is_err());
        prop_assert!(check_host(&name).is_ok(), "{}", name);
    }

    #[test]
    fn what_is_accepted_is_a_name_of_the_dns(text in "\\PC{0,80}") {
        if check_host(&text).is_ok() {
            prop_assert!(text.len() <= 253);
            for label in text.split('.') {
                prop_assert!(!label.is_empty() && label.len() <= 63, "{}", text);
                prop_assert!(
                    label.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric()),
                    "{}", text
                );
            }
        }
    }
}
