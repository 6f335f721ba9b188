//! What is accepted, and what it means.

use secrecy::ExposeSecret as _;

use super::*;

/// What distribution ships as an example, nearly.
const EXAMPLE: &str = "
version: 0.1
log:
  level: debug
  fields: {service: registry, environment: 42}
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: yes
  maintenance:
    uploadpurging:
      age: 1h30m
auth:
  token:
    realm: https://auth.example.com/jwt/auth
    service: registry
";

#[test]
fn an_example_of_distribution() {
    let settings = accept(EXAMPLE, &[]);
    assert_eq!(settings.version, "0.1", "a number where text is wanted");
    assert_eq!(settings.log.level, crate::telemetry::Level::Debug);
    assert_eq!(settings.log.fields["environment"], "42");
    assert_eq!(settings.http.addr, ":5000");
    assert_eq!(settings.http.headers["X-Content-Type-Options"], ["nosniff"]);
    let filesystem = settings.storage.filesystem.unwrap();
    assert_eq!(filesystem.rootdirectory, "/var/lib/registry");
    assert_eq!(filesystem.maxthreads, 100);
    assert!(settings.storage.delete.enabled);
    let purging = settings.storage.maintenance.uploadpurging;
    assert!(
        purging.enabled,
        "a part of a section leaves the rest as it was"
    );
    assert_eq!(purging.age, Duration::from_secs(5400));
    assert!(matches!(
        settings.auth,
        Some(Auth::Token { realm, service, .. })
            if realm == "https://auth.example.com/jwt/auth" && service == "registry"
    ));
}

#[test]
fn no_file_and_an_empty_file_are_all_defaults() {
    let (settings, warnings) = load_from(None, &[]).unwrap();
    assert_eq!(warnings, []);
    assert!(settings.auth.is_none());
    accept("", &[]);
    accept("# nothing\n", &[]);
    accept("---\n", &[]);
}

#[test]
fn variables_over_absent_empty_and_present_sections() {
    for text in [
        "",
        "storage:",
        "storage: {}",
        "storage: {delete: {enabled: true}}",
    ] {
        let settings = accept(
            text,
            &[
                ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
                ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true"),
                ("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE", "2h"),
            ],
        );
        assert_eq!(settings.storage.filesystem.unwrap().rootdirectory, "/data");
        assert!(settings.storage.maintenance.readonly.enabled);
        let purging = settings.storage.maintenance.uploadpurging;
        assert!(purging.enabled);
        assert_eq!(purging.age, Duration::from_secs(7200));
    }
}

#[test]
fn a_variable_wins_over_the_file() {
    let settings = accept("http: {addr: ':1'}", &[("REGISTRY_HTTP_ADDR", ":2")]);
    assert_eq!(settings.http.addr, ":2");
}

#[test]
fn an_empty_variable_and_an_empty_key_are_not_set() {
    let settings = accept(
        "http: {addr: ':1', secret: , tls: ~}\nlog:\n  level:\n",
        &[("REGISTRY_HTTP_ADDR", ""), ("REGISTRY_HTTP_TLS", "")],
    );
    assert_eq!(settings.http.addr, ":1");
    assert!(settings.http.secret.is_none());
    assert!(settings.http.tls.is_none());
    assert_eq!(settings.log.level, crate::telemetry::Level::Info);
}

#[test]
fn keys_with_underscores_and_keys_that_begin_alike() {
    let settings = accept(
        "",
        &[
            ("REGISTRY_HTTP_TRUSTED_PROXIES", "[10.0.0.0/8, 192.0.2.1]"),
            ("REGISTRY_HTTP_TRUSTED", "true"),
        ],
    );
    assert_eq!(settings.http.trusted, Some(true));
    assert_eq!(
        settings.http.trusted_proxies,
        TrustedProxies::parse(["10.0.0.0/8", "192.0.2.1"]).unwrap()
    );
}

#[test]
fn a_section_as_one_variable_replaces_the_file_and_deeper_variables_add_to_it() {
    let settings = accept(
        "http: {addr: ':1', draintimeout: 5s}",
        &[
            ("REGISTRY_HTTP", "{addr: ':2'}"),
            ("REGISTRY_HTTP_TRUSTED", "no"),
        ],
    );
    assert_eq!(settings.http.addr, ":2");
    assert_eq!(settings.http.draintimeout, None);
    assert_eq!(settings.http.trusted, Some(false));
}

#[test]
fn list_items_by_number() {
    let settings = accept(
        "proxies: [{host: docker.io}]",
        &[
            ("REGISTRY_PROXIES_0_TTL", "1h"),
            ("REGISTRY_PROXIES_1_HOST", "ghcr.io"),
            ("REGISTRY_PROXIES_1_PASSWORD", "x"),
            ("REGISTRY_HTTP_TRUSTED_PROXIES_0", "loopback"),
        ],
    );
    assert_eq!(settings.proxies[0].host, "docker.io");
    assert_eq!(settings.proxies[0].ttl, Some(Duration::from_secs(3600)));
    assert_eq!(settings.proxies[1].host, "ghcr.io");
    assert!(!settings.http.trusted_proxies.is_empty());
}

#[test]
fn more_than_ten_list_items_keep_their_order() {
    let variables: Vec<(String, String)> = (0..12)
        .map(|n| (format!("REGISTRY_PROXIES_{n}_HOST"), format!("host{n}")))
        .collect();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let settings = accept("", &variables);
    let hosts: Vec<String> = (0..12).map(|n| format!("host{n}")).collect();
    assert!(settings.proxies.iter().map(|proxy| &proxy.host).eq(&hosts));
}

#[test]
fn free_keys_by_variable() {
    let settings = accept(
        "log: {fields: {service: old, other_key: old}}",
        &[
            ("REGISTRY_LOG_FIELDS_SERVICE", "new"),
            ("REGISTRY_LOG_FIELDS_OTHER_KEY", "new"),
            ("REGISTRY_LOG_FIELDS_ADDED", "12"),
        ],
    );
    let expected = [("added", "12"), ("other_key", "new"), ("service", "new")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(settings.log.fields, BTreeMap::from(expected));
}

#[test]
fn an_alternative_chosen_by_variable() {
    let htpasswd = accept("", &[("REGISTRY_AUTH_HTPASSWD_PATH", "/etc/htpasswd")]);
    assert!(
        matches!(htpasswd.auth, Some(Auth::Htpasswd(Htpasswd { path })) if path == "/etc/htpasswd")
    );
    let none = accept("", &[("REGISTRY_AUTH", "none")]);
    assert!(matches!(none.auth, Some(Auth::None)));
    let partly = accept(
        "auth: {token: {realm: r, service: s}}",
        &[("REGISTRY_AUTH_TOKEN_AUTOREDIRECT", "true")],
    );
    assert!(matches!(
        partly.auth,
        Some(Auth::Token {
            autoredirect: true,
            ..
        })
    ));
}

#[test]
fn text_in_variables_is_taken_as_it_is() {
    // YAML would cut these at comments, or read nothing, numbers and sections into them.
    for text in [
        "pass #1",
        "#hash",
        "007",
        "a: b",
        "[unclosed",
        "*star",
        "@at",
        "100%",
        "a\nb",
    ] {
        let settings = accept("", &[("REGISTRY_HTTP_SECRET", text)]);
        let secret = settings.http.secret.unwrap();
        assert_eq!(secret.expose_secret(), text);
    }
    // Docker compose's list form passes quotes on, and distribution takes them off.
    let settings = accept("", &[("REGISTRY_HTTP_SECRET", "\"a # b\"")]);
    assert_eq!(settings.http.secret.unwrap().expose_secret(), "a # b");
}

#[test]
fn a_list_in_one_variable() {
    let settings = accept(
        "http: {tls: {certificate: c, key: k}}",
        &[("REGISTRY_HTTP_TLS_CLIENTCAS", "[a.pem, b.pem]")],
    );
    let tls = settings.http.tls.unwrap();
    assert_eq!((tls.certificate.as_str(), tls.key.as_str()), ("c", "k"));
    assert_eq!(tls.clientcas, ["a.pem", "b.pem"]);
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let settings = accept(
        "
proxies:
  - &base {host: a, ttl: 1h}
  - {<<: *base, host: b}
  - *base
",
        &[],
    );
    let hosts: Vec<&str> = settings.proxies.iter().map(|p| p.host.as_str()).collect();
    assert_eq!(hosts, ["a", "b", "a"]);
    assert_eq!(settings.proxies[1].ttl, Some(Duration::from_secs(3600)));
}

#[test]
fn numbers_in_the_ways_of_yaml() {
    for (text, number) in [
        ("12", 12),
        ("0x10", 16),
        ("0o17", 15),
        ("1_000", 1000),
        ("-1", -1),
    ] {
        let settings = accept(&format!("catalog: {{maxentries: {text}}}"), &[]);
        assert_eq!(settings.catalog.maxentries, number, "{text}");
    }
}

#[test]
fn variables_of_kubernetes_services_are_not_ours() {
    let settings = accept(
        "",
        &[
            ("REGISTRY_SERVICE_HOST", "10.96.0.7"),
            ("REGISTRY_SERVICE_PORT", "5000"),
            ("REGISTRY_SERVICE_PORT_HTTP", "5000"),
            ("REGISTRY_PORT", "tcp://10.96.0.7:5000"),
            ("REGISTRY_PORT_5000_TCP", "tcp://10.96.0.7:5000"),
            ("REGISTRY_PORT_5000_TCP_PROTO", "tcp"),
            ("REGISTRY_PORT_5000_TCP_PORT", "5000"),
            ("REGISTRY_PORT_5000_TCP_ADDR", "10.96.0.7"),
            // A Service `registry-http`, right beside the section `http`.
            ("REGISTRY_HTTP_SERVICE_HOST", "10.96.0.8"),
            ("REGISTRY_HTTP_PORT", "tcp://10.96.0.8:5000"),
        ],
    );
    assert_eq!(settings.http.addr, "");
}

#[test]
fn variables_of_others_are_left_alone() {
    accept(
        "",
        &[
            ("REGISTRYX_HTTP_ADDR", "1"),
            ("REGISTRY", "1"),
            ("PATH", "/bin"),
            ("REGISTRY_CONFIGURATION_PATH", "/etc/x"),
        ],
    );
}

#[test]
fn an_obsolete_key_is_a_warning_with_its_line() {
    let (_, warnings) = load_from(
        Some("storage:\n  cache:\n    layerinfo: {blob: inmemory}\n"),
        &[],
    )
    .unwrap();
    let [warning] = warnings.as_slice() else {
        panic!("one warning, not {warnings:?}");
    };
    let text = warning.to_string();
    let (_, after_directory) = text.split_once("config.yml").unwrap();
    assert_eq!(
        after_directory,
        ":3:16: storage.cache.layerinfo: has no effect any more and can be removed"
    );
    let (_, warnings) = load_from(None, &[("REGISTRY_STORAGE_CACHE_LAYERINFO", "redis")]).unwrap();
    assert_eq!(
        warnings[0].to_string(),
        "environment variable REGISTRY_STORAGE_CACHE_LAYERINFO: storage.cache.layerinfo: \
         has no effect any more and can be removed"
    );
}

/// distribution writes a section without settings as a word: `storage: inmemory`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Shorthand {
    Number(u64),
    Switch(bool),
    Ratio(f64),
    Word(String),
    Items(Vec<String>),
    Section {
        name: String,
        #[serde(default)]
        size: Option<u8>,
    },
}

#[derive(Debug, Deserialize)]
struct Shorthands {
    any: Option<Shorthand>,
}

#[test]
fn values_of_several_kinds() {
    let read = |variables: &[(&str, &str)]| {
        let source = Source::new("X").variables(variables.iter().copied());
        load::<Shorthands>(&source).unwrap().0.any
    };
    let word = |word: &str| Some(Shorthand::Word(word.to_owned()));
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[("X_ANY", "12")]), Some(Shorthand::Number(12)));
    assert_eq!(read(&[("X_ANY", "true")]), Some(Shorthand::Switch(true)));
    assert_eq!(read(&[("X_ANY", "-0.5")]), Some(Shorthand::Ratio(-0.5)));
    assert_eq!(read(&[("X_ANY", "'12'")]), word("12"));
    assert_eq!(read(&[("X_ANY", "1.2.3")]), word("1.2.3"));
    assert_eq!(
        read(&[("X_ANY", "[a, b]")]),
        Some(Shorthand::Items(vec!["a".to_owned(), "b".to_owned()]))
    );
    assert_eq!(
        read(&[("X_ANY_NAME", "n"), ("X_ANY_SIZE", "3")]),
        Some(Shorthand::Section {
            name: "n".to_owned(),
            size: Some(3)
        })
    );
}

/// As the documents of `registry:2` have it.
#[test]
fn a_choice_may_be_made_by_a_word() {
    let settings = accept(
        "",
        &[
            ("REGISTRY_AUTH", "token"),
            ("REGISTRY_AUTH_TOKEN_REALM", "https://auth.example.com/"),
            ("REGISTRY_AUTH_TOKEN_SERVICE", "registry"),
            ("REGISTRY_STORAGE", "filesystem"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
        ],
    );
    assert!(matches!(settings.auth, Some(Auth::Token { service, .. }) if service == "registry"));
    assert_eq!(settings.storage.filesystem.unwrap().rootdirectory, "/data");

    // The word wins over another choice in the file, and the file's own section counts.
    let settings = accept(EXAMPLE, &[("REGISTRY_AUTH", "none")]);
    assert!(matches!(settings.auth, Some(Auth::None)));
    let root = ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data");
    let settings = accept("storage: filesystem", &[root]);
    assert_eq!(settings.storage.filesystem.unwrap().rootdirectory, "/data");
}
