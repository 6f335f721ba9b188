//! Configurations as people have them for `registry:2` and `registry:3`, in the shapes that GitLab,
//! its images, and distribution's documents write. Each must do here what it does there.

use service::config::{Source, load};

use super::*;
use crate::registry::{IndexRules, UrlRules};

/// What the images of `registry:2` bring with them; people override it by variables.
const IMAGE_2: &str = "
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
";

/// What GitLab's package writes: sections as JSON, and what is switched off spelled out.
const OMNIBUS: &str = r#"
version: 0.1
log:
  level: info
  formatter: text
  fields:
    service: registry
    environment: production
storage: {"filesystem":{"rootdirectory":"/srv/registry"},"cache":{"blobdescriptor":"inmemory"},"delete":{"enabled":true}}
http:
  addr: localhost:5000
  secret: "0123456789abcdef"
  headers:
    X-Content-Type-Options: [nosniff]
  debug:
    addr: localhost:5001
    prometheus:
      enabled: true
      path: /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
auth:
  token:
    realm: https://git.example.com/jwt/auth
    service: container_registry
    issuer: omnibus-gitlab-issuer
    rootcertbundle: /srv/registry/gitlab-registry.crt
    autoredirect: false
validation:
  disabled: true
compatibility:
  schema1:
    enabled: true
notifications:
  endpoints: []
database: {"enabled":false}
"#;

/// A section that a package of another kind adds.
const REPORTING: &str = "
reporting: {sentry: {enabled: false, dsn: ''}}
profiling: {stackdriver: {enabled: false}}
gc: {disabled: true, maxbackoff: 24h}
";

fn read(file: Option<&str>, variables: &[(&str, &str)]) -> Result<(Settings, usize), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Source::new("REGISTRY").variables(variables.iter().copied());
    if let Some(text) = file {
        let path = folder.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        source = source.file(path);
    }
    let (configuration, warnings) =
        load::<Configuration>(&source).map_err(|error| error.to_string())?;
    let settings = Settings::new(&configuration).map_err(|error| error.to_string())?;
    Ok((settings, warnings.len()))
}

fn tokens(settings: Settings) -> TokenSettings {
    match settings.access {
        Access::Tokens(tokens) => *tokens,
        other => panic!("{other:?}"),
    }
}

/// Beside the image's own file, as the compose files of GitLab's images have it.
#[test]
fn the_variables_of_a_compose_file_with_gitlab_are_enough() {
    let usual = [
        ("REGISTRY_LOG_LEVEL", "info"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/registry"),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
        (
            "REGISTRY_AUTH_TOKEN_REALM",
            "https://git.example.com/jwt/auth",
        ),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "container_registry"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "gitlab-issuer"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/certs/registry.crt"),
    ];
    // Each is found in the wild beside the usual ones.
    let additions: [&[(&str, &str)]; 10] = [
        &[],
        &[("REGISTRY_AUTH", "token")],
        &[
            ("REGISTRY_HTTP_SECRET", "secret"),
            ("REGISTRY_LOG_ACCESSLOG_DISABLED", "false"),
        ],
        &[("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")],
        // A misspelling that has been copied a lot.
        &[("REGISTRY_CACHE_BLOBDESCRIPTOR", "inmemory")],
        &[
            ("REGISTRY_VALIDATION_DISABLED", "true"),
            ("REGISTRY_VALIDATION_ENABLED", "false"),
        ],
        &[
            ("REGISTRY_HTTP_ADDR", "0.0.0.0:5000"),
            ("REGISTRY_HTTP_HOST", "https://r.example.com"),
        ],
        &[
            ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c.crt"),
            ("REGISTRY_HTTP_TLS_KEY", "/c.key"),
        ],
        &[
            ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "false"),
            ("REGISTRY_STORAGE_REDIRECT_DISABLE", "true"),
            ("REGISTRY_HEALTH_STORAGEDRIVER_ENABLED", "false"),
        ],
        // Links of old containers, and of Kubernetes' services, to one that is called `registry`.
        &[
            ("REGISTRY_PORT_5000_TCP_ADDR", "10.0.0.1"),
            ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ],
    ];
    for addition in additions {
        let variables: Vec<_> = usual.iter().chain(addition).copied().collect();
        let (settings, _) =
            read(Some(IMAGE_2), &variables).unwrap_or_else(|error| panic!("{addition:?}: {error}"));
        assert!(settings.rules.deletion);
        assert_eq!(settings.storage_root, PathBuf::from("/registry"));
        let tokens = tokens(settings);
        assert_eq!(tokens.issuer, "gitlab-issuer");
        assert_eq!(tokens.service, "container_registry");
        assert_eq!(tokens.bundle, Some(PathBuf::from("/certs/registry.crt")));
        assert_eq!(
            tokens.realm,
            Realm::Fixed("https://git.example.com/jwt/auth".to_owned())
        );
    }
}

#[test]
fn the_file_of_gitlabs_package_is_taken() {
    for text in [OMNIBUS.to_owned(), format!("{OMNIBUS}{REPORTING}")] {
        let (settings, warnings) = read(Some(&text), &[]).unwrap();
        assert!(warnings > 0, "what has no effect is said");
        assert!(settings.rules.deletion);
        assert!(settings.health.storage.is_some());
        assert_eq!(tokens(settings).issuer, "omnibus-gitlab-issuer");
    }
}

/// It switches off what is below `validation`, never that an image is complete.
#[test]
fn validation_that_is_disabled_disables_its_section_alone() {
    let rules = "validation:
  disabled: true
  manifests:
    urls: {allow: ['^https://only.example.com/'], deny: ['secret']}
    indexes: {platforms: all}
";
    let text = OMNIBUS.replace("validation:\n  disabled: true\n", rules);
    let (off, _) = read(Some(&text), &[]).unwrap();
    let (on, _) = read(
        Some(&text.replace("disabled: true", "disabled: false")),
        &[],
    )
    .unwrap();
    assert!(matches!(off.rules.urls, UrlRules::Any));
    assert_eq!(off.rules.indexes, IndexRules::Sparse);
    assert!(matches!(on.rules.urls, UrlRules::Matching { .. }));
    assert_eq!(on.rules.indexes, IndexRules::Complete);
}

#[test]
fn what_documents_start_with_docker_run_is_taken() {
    let htpasswd = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
        ("REGISTRY_HTTP_ADDR", "0.0.0.0:443"),
        ("REGISTRY_HTTP_TLS_CERTIFICATE", "/certs/domain.crt"),
        ("REGISTRY_HTTP_TLS_KEY", "/certs/domain.key"),
    ];
    let (settings, _) = read(Some(IMAGE_2), &htpasswd).unwrap();
    assert!(matches!(settings.access, Access::Passwords(_)));

    let issuer = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_REALM", "https://auth.example.com/auth"),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "Docker registry"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "Acme auth server"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/ssl/server.pem"),
    ];
    let (settings, _) = read(Some(IMAGE_2), &issuer).unwrap();
    assert_eq!(tokens(settings).service, "Docker registry");
}

#[test]
fn endpoints_that_are_disabled_are_none() {
    let endpoints = |disabled: bool| {
        format!(
            "{IMAGE_2}auth: none
notifications:
  events: {{includereferences: true}}
  endpoints:
    - name: geo
      url: https://example.com/events
      headers: {{Authorization: [secret]}}
      timeout: 1s
      threshold: 10
      backoff: 1s
      ignore: {{mediatypes: [a], actions: [pull]}}
      disabled: {disabled}
"
        )
    };
    read(Some(&endpoints(true)), &[]).unwrap();
    let error = read(Some(&endpoints(false)), &[]).unwrap_err();
    assert!(error.contains("notifications"), "{error}");
}

/// Another place for data than the one that is meant would be found out too late.
#[test]
fn what_would_keep_data_elsewhere_is_refused() {
    let s3 = [
        ("REGISTRY_STORAGE", "s3"),
        ("REGISTRY_STORAGE_S3_BUCKET", "b"),
        ("REGISTRY_AUTH", "none"),
    ];
    for variables in [&s3[..], &s3[1..]] {
        let error = read(Some(IMAGE_2), variables).unwrap_err();
        assert!(error.contains("file system"), "{error}");
    }
    let mirror = [
        ("REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io"),
        ("REGISTRY_AUTH", "none"),
    ];
    let error = read(Some(IMAGE_2), &mirror).unwrap_err();
    assert!(error.contains("mirror"), "{error}");
    let redis = [
        ("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "redis"),
        ("REGISTRY_REDIS_ADDR", "redis:6379"),
        ("REGISTRY_AUTH", "none"),
    ];
    let error = read(Some(IMAGE_2), &redis).unwrap_err();
    assert!(error.contains("Redis"), "{error}");
}
