use std::time::Duration;

use service::config::{Source, load};

use super::*;
use crate::registry::{IndexRules, UrlRules};

const MINIMAL: &str = "
version: 0.1
storage: {filesystem: {rootdirectory: /data}}
auth: none
";

const TOKEN: &str = "
version: 0.1
storage: {filesystem: {rootdirectory: /data}}
auth:
  token:
    realm: https://auth.test/token
    service: registry
    issuer: issuer
    rootcertbundle: /bundle.pem
";

/// What is wrong with it, or what it means.
fn read_with(yaml: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml).unwrap();
    let source = Source::new("REGISTRY")
        .file(&file)
        .variables(variables.iter().copied());
    let (configuration, _) = load::<Configuration>(&source).map_err(|error| error.to_string())?;
    Settings::new(&configuration).map_err(|error| error.to_string())
}

fn read(yaml: &str) -> Result<Settings, String> {
    read_with(yaml, &[])
}

fn tokens(yaml: &str) -> TokenSettings {
    match read(yaml).unwrap().access {
        Access::Tokens(tokens) => *tokens,
        Access::Open | Access::Passwords(_) => panic!("{yaml}"),
    }
}

#[test]
fn a_minimal_configuration_is_enough() {
    let settings = read(MINIMAL).unwrap();
    assert!(matches!(settings.access, Access::Open));
    assert!(
        matches!(&settings.database, DatabaseUrl::Sqlite(path) if path.ends_with("registry.sqlite"))
    );
    assert!(!settings.rules.deletion);
    assert!(!settings.rules.read_only);
    assert_eq!(settings.upload_age, Duration::from_hours(168));
    assert_eq!(settings.web.location, LocationBase::Relative);
    assert_eq!(
        settings.purging,
        Some(Purging {
            age: Duration::from_hours(168),
            interval: Duration::from_hours(24),
            dry_run: false
        })
    );
}

/// distribution's own example, as far as it applies.
#[test]
fn a_configuration_of_distribution_is_taken() {
    let settings = read(
        "
version: 0.1
log:
  accesslog: {disabled: true}
  level: debug
  formatter: json
  fields: {service: registry}
storage:
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
  redirect: {disable: false}
  tag: {concurrencylimit: 8}
  filesystem: {rootdirectory: /data, maxthreads: 100}
  maintenance:
    uploadpurging: {enabled: true, age: 12h, interval: 1h30m, dryrun: true}
    readonly: {enabled: true}
auth:
  token:
    autoredirect: true
    service: registry
    issuer: issuer
    rootcertbundle: /bundle.pem
    jwks: https://auth.test/jwks.json
    signingalgorithms: [ES256, RS256]
http:
  addr: localhost:5000
  prefix: /my/registry/
  host: https://myregistry.test:5000/
  secret: secret
  relativeurls: false
  draintimeout: 60s
  headers: {X-Content-Type-Options: [nosniff]}
  debug: {addr: localhost:5001, prometheus: {enabled: true, path: /metrics}}
  http2: {disabled: false}
  h2c: {enabled: false}
health: {storagedriver: {enabled: true, interval: 5s, threshold: 2}}
validation:
  manifests:
    urls: {allow: ['^https?://([^/]+\\.)*example\\.test/'], deny: ['secret']}
    indexes: {platforms: all}
catalog: {maxentries: 500}
tags: {maxtags: 50}
",
    )
    .unwrap();
    assert!(settings.rules.deletion && settings.rules.read_only);
    assert_eq!(settings.rules.indexes, IndexRules::Complete);
    assert!(matches!(
        settings.rules.urls,
        UrlRules::Matching { allow, deny } if allow.len() == 1 && deny.len() == 1
    ));
    assert_eq!(settings.web.prefix.as_str(), "/my/registry");
    assert_eq!(
        settings.web.location,
        LocationBase::Fixed("https://myregistry.test:5000".to_owned())
    );
    assert_eq!((settings.web.max_tags, settings.web.max_entries), (50, 500));
    assert_eq!(
        settings.health.storage,
        Some(StorageCheck {
            interval: Duration::from_secs(5),
            threshold: 2
        })
    );
    let Access::Tokens(tokens) = settings.access else {
        panic!("open");
    };
    assert_eq!(tokens.realm, Realm::SameHost("/auth/token".to_owned()));
    assert_eq!(tokens.algorithms.len(), 2);
    assert!(matches!(
        tokens.jwks,
        Some(registry_token::KeyLocation::JwksUrl(_))
    ));
}

#[test]
fn variables_override_what_is_not_there() {
    let settings = read_with(
        "version: 0.1\nstorage: {filesystem: {}}\n",
        &[
            ("REGISTRY_AUTH", "none"),
            ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true"),
            ("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE", "1h"),
            ("REGISTRY_HTTP_RELATIVEURLS", "false"),
        ],
    )
    .unwrap();
    assert!(settings.rules.read_only);
    assert_eq!(settings.upload_age, Duration::from_hours(1));
    assert_eq!(settings.web.location, LocationBase::FromRequest);
    let settings = read_with(
        "version: 0.1\nstorage: {filesystem: {}}\n",
        &[
            ("REGISTRY_AUTH_TOKEN_REALM", "http://auth.test/"),
            ("REGISTRY_AUTH_TOKEN_SERVICE", "s"),
            ("REGISTRY_AUTH_TOKEN_ISSUER", "i"),
            ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/b"),
            ("REGISTRY_AUTH_TOKEN_UPLOADGRACE", "30m"),
        ],
    );
    let Access::Tokens(tokens) = settings.unwrap().access else {
        panic!("open");
    };
    assert_eq!(tokens.upload_grace, Duration::from_mins(30));
}

#[test]
fn tokens_are_believed_for_two_hours_of_an_upload() {
    let tokens = tokens(TOKEN);
    assert_eq!(tokens.upload_grace, Duration::from_hours(2));
    assert_eq!(
        tokens.realm,
        Realm::Fixed("https://auth.test/token".to_owned())
    );
    assert_eq!(tokens.algorithms, registry_token::Algorithm::ALL);
}

#[test]
fn a_file_of_passwords_is_a_door_too() {
    let yaml = MINIMAL.replace(
        "auth: none",
        "auth: {htpasswd: {realm: people, path: /users}}",
    );
    let Access::Passwords(file) = read(&yaml).unwrap().access else {
        panic!("another door");
    };
    assert_eq!(file.realm, "people");
    assert_eq!(file.path, PathBuf::from("/users"));
    let yaml = MINIMAL.replace("auth: none", "");
    let variables = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
    ];
    // As the documents of `registry:2` have it: the first says nothing that the others do not.
    assert!(matches!(
        read_with(&yaml, &variables).unwrap().access,
        Access::Passwords(_)
    ));
}

/// distribution's own example.
#[test]
fn files_and_other_servers_are_watched() {
    let settings = read(&format!(
        "{MINIMAL}
health:
  strict: true
  storagedriver: {{enabled: false}}
  file: [{{file: /path/to/checked/file, interval: 20s}}]
  http:
    - timeout: 3s
      uri: http://server.to.check/must/return/200
      headers: {{Authorization: [Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==]}}
      statuscode: 204
      interval: 30s
      threshold: 3
  tcp: [{{addr: 'redis-server.domain.test:6379'}}]
"
    ))
    .unwrap();
    let health = settings.health;
    assert!(health.storage.is_none());
    assert_eq!(health.files[0].interval, Duration::from_secs(20));
    let http = &health.http[0];
    assert_eq!((http.status.as_u16(), http.threshold), (204, 3));
    assert_eq!(http.headers[0].0, "authorization");
    let tcp = TcpCheck {
        address: "redis-server.domain.test:6379".to_owned(),
        timeout: Duration::from_secs(5),
        interval: Duration::from_secs(10),
        threshold: 0,
    };
    assert_eq!(health.tcp, [tcp]);
}

#[test]
fn manifests_are_checked_as_distribution_would() {
    let rules = |validation: &str| {
        let yaml = format!("{MINIMAL}validation: {validation}\n");
        read(&yaml).unwrap().rules
    };
    let platform = Platform {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
    };
    let list = "platformlist: [{architecture: amd64, os: linux}]";
    for (indexes, expected) in [
        ("{}".to_owned(), IndexRules::Sparse),
        (format!("{{platforms: none, {list}}}"), IndexRules::Sparse),
        ("{platforms: all}".to_owned(), IndexRules::Complete),
        ("{platforms: list}".to_owned(), IndexRules::Complete),
        (
            format!("{{platforms: list, {list}}}"),
            IndexRules::Platforms(vec![platform]),
        ),
    ] {
        let of = |disabled: bool| {
            rules(&format!(
                "{{disabled: {disabled}, manifests: {{indexes: {indexes}}}}}"
            ))
            .indexes
        };
        assert_eq!(of(false), expected, "{indexes}");
        assert_eq!(of(true), IndexRules::Sparse, "{indexes}");
    }
    assert!(matches!(read(MINIMAL).unwrap().rules.urls, UrlRules::None));
    assert!(matches!(rules("{disabled: true}").urls, UrlRules::Any));
    for urls in ["{allow: [a]}", "{deny: [a]}", "{allow: [a], deny: [b]}"] {
        let rules = rules(&format!("{{manifests: {{urls: {urls}}}}}"));
        assert!(matches!(rules.urls, UrlRules::Matching { .. }), "{urls}");
    }
}

#[test]
fn threads_are_limited_if_somebody_says_so() {
    for (written, threads) in [
        ("", None),
        ("maxthreads: 100", Some(100)),
        ("maxthreads: 7", Some(25)),
    ] {
        let yaml = MINIMAL.replace(
            "rootdirectory: /data",
            &format!("rootdirectory: /data, {written}"),
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yml");
        std::fs::write(&file, yaml).unwrap();
        let source = Source::new("REGISTRY").file(&file).variables([("", ""); 0]);
        let (configuration, _) = load::<Configuration>(&source).unwrap();
        assert_eq!(configuration.storage.filesystem.threads(), threads);
    }
    let error = read(&MINIMAL.replace("/data", "/data, maxthreads: lots")).unwrap_err();
    assert!(error.contains("storage.filesystem.maxthreads"), "{error}");
}

#[test]
fn what_changes_nothing_is_read_strictly_and_told_once() {
    let yaml = "
version: 0.1
storage:
  filesystem: {rootdirectory: /data}
  cache: {blobdescriptor: inmemory, blobdescriptorsize: 10000}
  redirect: {disable: true}
  tag: {concurrencylimit: 8}
http: {secret: hidden}
auth: none
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml).unwrap();
    let source = Source::new("REGISTRY").file(&file).variables([("", ""); 0]);
    let (configuration, warnings) = load::<Configuration>(&source).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let told = configuration.unneeded();
    for (told, key) in told.iter().zip([
        "storage.cache",
        "storage.redirect",
        "storage.tag",
        "http.secret",
    ]) {
        assert!(told.starts_with(key) && !told.contains("hidden"), "{told}");
    }
    assert_eq!(told.len(), 4);
    for (right, wrong, says) in [
        (
            "disable: true",
            "disable: maybe",
            "storage.redirect.disable: expected true or false",
        ),
        ("disable:", "disabled:", "did you mean `disable`?"),
        (
            "concurrencylimit: 8",
            "concurrencylimit: -1",
            "storage.tag.concurrencylimit",
        ),
        ("inmemory", "memory", "did you mean `inmemory`?"),
        ("10000", "many", "storage.cache.blobdescriptorsize"),
    ] {
        let error = read(&yaml.replace(right, wrong)).unwrap_err();
        assert!(error.contains(says), "{wrong}: {error}");
    }
}

#[test]
fn nobody_is_let_in_by_omission() {
    let error = read(&MINIMAL.replace("auth: none", "")).unwrap_err();
    assert!(error.starts_with("auth: "), "{error}");
    assert!(error.contains("auth: none"), "{error}");
}

#[test]
fn what_cannot_be_followed_is_refused_in_a_sentence() {
    for (key, says) in [
        ("proxy: {remoteurl: https://registry-1.docker.io}", "mirror"),
        (
            "notifications: {endpoints: [{name: a, url: https://a.test}]}",
            "notifications",
        ),
        ("database: {enabled: true, host: db}", "database"),
        ("redis: {addr: localhost}", "Redis"),
        ("middleware: {registry: []}", "middleware"),
    ] {
        let error = read(&format!("{MINIMAL}{key}\n")).unwrap_err();
        assert!(error.contains(says), "{key}: {error}");
    }
    for (storage, says) in [
        ("s3: {bucket: b}", "file system"),
        ("gcs: {bucket: b}", "file system"),
        ("inmemory: {}", "memory"),
    ] {
        let yaml = MINIMAL.replace("filesystem: {", &format!("{storage}, filesystem: {{"));
        let error = read(&yaml).unwrap_err();
        assert!(error.contains(says), "{storage}: {error}");
    }
    for (auth, says) in [
        ("{htpasswd: {realm: r}}", "path"),
        ("{htpasswd: {realm: '', path: p}}", "realm"),
        ("{htpasswd: {realm: r, path: ''}}", "name the file"),
        ("{silly: {realm: r, service: s}}", "auth: none"),
    ] {
        let error = read(&MINIMAL.replace("auth: none", &format!("auth: {auth}"))).unwrap_err();
        assert!(error.contains(says), "{auth}: {error}");
    }
}

#[test]
fn values_that_cannot_be_followed_name_their_key() {
    for (yaml, key) in [
        (format!("{MINIMAL}http: {{addr: nowhere}}"), "http.addr"),
        (format!("{MINIMAL}http: {{addr: ':70000'}}"), "http.addr"),
        (
            format!("{MINIMAL}http: {{prefix: registry}}"),
            "http.prefix",
        ),
        (
            format!("{MINIMAL}http: {{host: registry.test}}"),
            "http.host",
        ),
        (
            format!("{MINIMAL}http: {{headers: {{'a b': [x]}}}}"),
            "http.headers",
        ),
        (
            format!("{MINIMAL}http: {{idletimeout: 0s}}"),
            "http.idletimeout",
        ),
        (
            format!("{MINIMAL}catalog: {{maxentries: 0}}"),
            "catalog.maxentries",
        ),
        (format!("{MINIMAL}tags: {{maxtags: 0}}"), "tags.maxtags"),
        (
            format!("{MINIMAL}database: {{connections: 0}}"),
            "database.connections",
        ),
        (
            format!("{MINIMAL}validation: {{manifests: {{urls: {{allow: ['(']}}}}}}"),
            "validation.manifests.urls.allow",
        ),
        (
            format!("{MINIMAL}validation: {{manifests: {{urls: {{deny: ['*']}}}}}}"),
            "validation.manifests.urls.deny",
        ),
        (
            format!("{MINIMAL}health: {{file: [{{file: ''}}]}}"),
            "health.file",
        ),
        (
            format!("{MINIMAL}health: {{http: [{{uri: 'ftp://a/'}}]}}"),
            "health.http.uri",
        ),
        (
            format!("{MINIMAL}health: {{http: [{{uri: 'http://a/', statuscode: 7}}]}}"),
            "health.http.statuscode",
        ),
        (
            format!("{MINIMAL}health: {{tcp: [{{addr: nowhere}}]}}"),
            "health.tcp.addr",
        ),
        (
            format!("{MINIMAL}health: {{tcp: [{{addr: 'a:1', timeout: 0s}}]}}"),
            "health.tcp.timeout",
        ),
        (
            format!("{MINIMAL}health: {{storagedriver: {{interval: 0s}}}}"),
            "health.storagedriver.interval",
        ),
        (
            MINIMAL.replace("/data", "''"),
            "storage.filesystem.rootdirectory",
        ),
        (
            TOKEN.replace("    rootcertbundle: /bundle.pem\n", ""),
            "auth.token",
        ),
        (
            TOKEN.replace("    realm: https://auth.test/token\n", ""),
            "auth.token.realm",
        ),
        (
            TOKEN.replace("https://auth", "ftp://auth"),
            "auth.token.realm",
        ),
        (
            TOKEN.replace("service: registry", "service: ''"),
            "auth.token.service",
        ),
        (
            TOKEN.replace("issuer: issuer", "issuer: ''"),
            "auth.token.issuer",
        ),
        (
            format!("{TOKEN}    signingalgorithms: [HS256]\n"),
            "auth.token.signingalgorithms",
        ),
        (format!("{TOKEN}    jwks: 'http://['\n"), "auth.token.jwks"),
    ] {
        let error = read(&yaml).unwrap_err();
        assert!(error.starts_with(&format!("{key}: ")), "{key}: {error}");
    }
}

#[test]
fn blobs_are_handed_over_only_if_somebody_says_so() {
    assert_eq!(read(MINIMAL).unwrap().web.handover, None);
    let with = |http: &str| {
        read(&format!(
            "{MINIMAL}http: {{trustedproxies: [loopback], {http}}}\n"
        ))
    };
    let path = |http: &str| {
        let handover = with(http).unwrap().web.handover.unwrap();
        let (name, value) = handover.header(std::path::Path::new("sha256/ab")).unwrap();
        format!("{name}: {}", value.to_str().unwrap())
    };
    assert_eq!(
        path("sendfile: {header: X-Accel-Redirect}"),
        "x-accel-redirect: /.portcullis-blobs/sha256/ab"
    );
    assert_eq!(
        path("sendfile: {header: X-Accel-Redirect, root: /internal/}"),
        "x-accel-redirect: /internal/sha256/ab"
    );
    assert_eq!(
        path("sendfile: {header: x-sendfile}"),
        "x-sendfile: /data/docker/registry/v2/blobs/sha256/ab"
    );
    assert_eq!(
        path("sendfile: {header: X-Sendfile, root: /mnt/blobs}"),
        "x-sendfile: /mnt/blobs/sha256/ab"
    );
}

#[test]
fn a_handover_that_cannot_work_is_refused() {
    for (http, says) in [
        ("sendfile: {header: X-Accel-Redirect}", "trustedproxies"),
        ("sendfile: {root: /blobs}", "without `http.sendfile.header`"),
        (
            "trustedproxies: [loopback], sendfile: {header: X-Sendfile, root: blobs}",
            "no absolute path",
        ),
        (
            "trustedproxies: [loopback], sendfile: {header: X-Sendfile, root: /}",
            "no absolute path",
        ),
        (
            "trustedproxies: [loopback], sendfile: {header: X-Sendfile, root: /a%2e/../b}",
            "no absolute path",
        ),
        (
            "trustedproxies: [loopback], sendfile: {header: X-Lighttpd}",
            "X-Accel-Redirect",
        ),
    ] {
        let error = read(&format!("{MINIMAL}http: {{{http}}}\n")).unwrap_err();
        assert!(error.contains(says), "{http}: {error}");
    }
}
