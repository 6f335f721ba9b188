use std::time::Duration;

use secrecy::ExposeSecret as _;
use service::server::{Address, CertificateSource, MinimumTls};

use super::*;

fn from_variables(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let source = Source::new(PREFIX).variables(variables.iter().copied());
    Settings::from_source(source)
        .map(|(settings, _)| settings)
        .map_err(|error| error.to_string())
}

fn from_file(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.yml");
    std::fs::write(&path, text).unwrap();
    let none: [(&str, &str); 0] = [];
    Settings::from_source(Source::new(PREFIX).file(&path).variables(none))
        .map(|(settings, _)| settings)
        .map_err(|error| error.to_string())
}

#[test]
fn nothing_needs_to_be_set() {
    let settings = from_variables(&[]).unwrap();
    assert_eq!(settings.http.addr.get(), &Address::Tcp(":5001".into()));
    assert_eq!(settings.token.issuer.as_str(), "portcullis-auth");
    assert_eq!(
        settings.token.services.iter().collect::<Vec<_>>(),
        ["portcullis-registry"]
    );
    assert_eq!(settings.token.lifetime.get(), Duration::from_mins(5));
    assert_eq!(settings.password.policy().minimum_length, 12);
    let cost = settings.password.argon2;
    assert_eq!(
        (cost.memory, cost.iterations, cost.parallelism),
        (19_456, 2, 1)
    );
    assert!(settings.admin.password.is_none());
    assert_eq!(settings.keys.publishahead.get(), Duration::from_mins(10));
    assert!(settings.keys.rotateevery.is_none());
    let year = Duration::from_hours(365 * 24);
    assert_eq!(settings.audit.retention.get(), year);
}

#[test]
fn everything_can_be_set() {
    let settings = from_file(
        "
http:
  addr: 127.0.0.1:8080
  tls: {certificate: /tls/cert.pem, key: /tls/key.pem, minimumtls: tls1.3}
  trustedproxies: [loopback, 10.0.0.0/8]
  draintimeout: 5s
  debug: {addr: ':9000', prometheus: {enabled: true, path: /m}}
database: {url: 'postgres://auth:secret@db/auth', connections: 20}
keys: {path: /keys, signingkey: /mounted/key.pem, certificate: /mounted/cert.pem, algorithm: RS256, publishahead: 1m}
token: {issuer: 'https://auth.example', services: [one, two], lifetime: 10m, refreshlifetime: 24h}
password: {minlength: 16, argon2: {memory: 47104, iterations: 1, parallelism: 2}, concurrency: 3, queue: 9}
login: {threshold: 3, addressthreshold: 30, basedelay: 2s, maxdelay: 1h}
session: {idle: 30m, lifetime: 8h}
accesstoken: {maxlifetime: 720h}
admin: {password: 'a good password'}
audit: {retention: 720h}
log: {level: debug, formatter: json}
",
    )
    .unwrap();
    assert_eq!(
        settings.http.addr.get(),
        &Address::Tcp("127.0.0.1:8080".into())
    );
    let tls = settings.http.tls.as_ref().unwrap();
    assert_eq!(tls.minimumtls, MinimumTls::Tls13);
    let [certificate, key] = ["/tls/cert.pem", "/tls/key.pem"].map(PathBuf::from);
    assert_eq!(tls.source, CertificateSource::Files { certificate, key });
    assert!(settings.http.proxies().trusts([10, 1, 2, 3].into()));
    assert_eq!(settings.http.draintimeout.get(), Duration::from_secs(5));
    assert_eq!(settings.http.debug.prometheus.path.as_str(), "/m");
    assert_eq!(settings.database_url().described(), "postgres://db/auth");
    assert_eq!(settings.database.connections.get(), 20);
    assert_eq!(
        settings.keys.mounted.as_ref().unwrap().certificate,
        Path::new("/mounted/cert.pem")
    );
    assert_eq!(settings.keys.publishahead.get(), Duration::from_mins(1));
    let token = settings.token_settings();
    assert_eq!(token.issuer, "https://auth.example");
    assert_eq!(token.services, ["one", "two"]);
    assert_eq!(token.lifetime, Duration::from_mins(10));
    assert_eq!(token.refresh_lifetime, Duration::from_hours(24));
    assert_eq!(settings.password.minlength.get(), 16);
    assert_eq!(settings.password.argon2.memory, 47_104);
    assert_eq!(settings.password.concurrency.get(), 3);
    assert_eq!(settings.password.queue.get(), 9);
    let throttle = settings.login.policy();
    assert_eq!((throttle.threshold, throttle.address_threshold), (3, 30));
    assert_eq!(throttle.base_delay, Duration::from_secs(2));
    assert_eq!(throttle.max_delay, Duration::from_hours(1));
    let session = settings.session.policy();
    assert_eq!(session.idle, Duration::from_mins(30));
    assert_eq!(session.lifetime, Duration::from_hours(8));
    let tokens = settings.accesstoken.policy();
    assert_eq!(tokens.max_lifetime, Duration::from_hours(720));
    assert_eq!(
        settings.admin.password.unwrap().expose_secret(),
        "a good password"
    );
    assert_eq!(settings.audit.retention.get(), Duration::from_hours(720));
    assert_eq!(settings.log.level, Level::Debug);
}

#[test]
fn variables_and_secret_files_set_what_the_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, "from the file\n").unwrap();
    let settings = from_variables(&[
        ("AUTH_ADMIN_PASSWORD_FILE", secret.to_str().unwrap()),
        ("AUTH_TOKEN_SERVICES", "[a, b]"),
        ("AUTH_PASSWORD_ARGON2_MEMORY", "12288"),
        ("AUTH_HTTP_ADDR", "unix:/run/auth.sock"),
    ])
    .unwrap();
    assert_eq!(
        settings.admin.password.unwrap().expose_secret(),
        "from the file"
    );
    assert_eq!(
        settings.token.services.iter().collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(settings.password.argon2.memory, 12_288);
    assert_eq!(settings.password.argon2.iterations, 2);
    assert_eq!(
        settings.http.addr.get(),
        &Address::Unix("/run/auth.sock".into())
    );
}

#[test]
fn every_refusal_names_the_setting_and_the_remedy() {
    let long = "x".repeat(256);
    for (name, value, words) in [
        ("AUTH_HTTP_ADDR", "5001", "host:port"),
        ("AUTH_HTTP_ADDR", ":70000", "host:port"),
        ("AUTH_HTTP_ADDR", "'unix:'", "unix:PATH"),
        ("AUTH_HTTP_TLS_KEY", "/key.pem", "AUTH_HTTP_TLS_CERTIFICATE"),
        (
            "AUTH_HTTP_TLS_CERTIFICATE",
            "/cert.pem",
            "AUTH_HTTP_TLS_KEY",
        ),
        ("AUTH_HTTP_TRUSTEDPROXIES", "[somewhere]", "somewhere"),
        ("AUTH_HTTP_FORWARDEDHEADERS", "x-mine", "x-mine"),
        ("AUTH_HTTP_DRAINTIMEOUT", "30", "30s"),
        ("AUTH_HTTP_DEBUG_ADDR", "everywhere", "host:port"),
        ("AUTH_HTTP_DEBUG_PROMETHEUS_ENABLED", "perhaps", "perhaps"),
        ("AUTH_HTTP_DEBUG_PROMETHEUS_PATH", "metrics", "/metrics"),
        ("AUTH_HTTP_DEBUG_PROMETHEUS_PATH", "/{name}", "/metrics"),
        ("AUTH_DATABASE_URL", "mysql://db/auth", "postgres://"),
        ("AUTH_DATABASE_CONNECTIONS", "0", "1 to 1000"),
        ("AUTH_KEYS_SIGNINGKEY", "/key.pem", "certificate"),
        ("AUTH_KEYS_CERTIFICATE", "/cert.pem", "signingkey"),
        ("AUTH_KEYS_ALGORITHM", "HS256", "HS256"),
        (
            "AUTH_KEYS_ENCRYPTIONKEY",
            "a passphrase",
            "openssl rand -hex 32",
        ),
        ("AUTH_KEYS_PUBLISHAHEAD", "19s", "20s"),
        ("AUTH_KEYS_ROTATEEVERY", "59m", "1h"),
        ("AUTH_TOKEN_ISSUER", "two words", "visible ASCII"),
        ("AUTH_TOKEN_ISSUER", "quo\"te", "quotation mark"),
        ("AUTH_TOKEN_ISSUER", &long, "255"),
        ("AUTH_TOKEN_SERVICES", "[]", "at least one"),
        ("AUTH_TOKEN_SERVICES", "[a, a]", "listed twice"),
        ("AUTH_TOKEN_SERVICES", "[a, 'b c']", "visible ASCII"),
        ("AUTH_TOKEN_LIFETIME", "59s", "1m"),
        ("AUTH_TOKEN_LIFETIME", "25h", "24h"),
        ("AUTH_TOKEN_REFRESHLIFETIME", "59m", "1h"),
        ("AUTH_PASSWORD_MINLENGTH", "7", "8 to 128"),
        ("AUTH_PASSWORD_ARGON2_MEMORY", "7167", "7168 to 4194304"),
        ("AUTH_PASSWORD_ARGON2_ITERATIONS", "0", "1 to 1000"),
        ("AUTH_PASSWORD_ARGON2_PARALLELISM", "65", "1 to 64"),
        ("AUTH_PASSWORD_CONCURRENCY", "0", "1 to 256"),
        ("AUTH_PASSWORD_QUEUE", "-1", "-1"),
        ("AUTH_AUDIT_RETENTION", "23h", "24h"),
        ("AUTH_AUDIT_RETENTION", "for ever", "for ever"),
        ("AUTH_LOGIN_THRESHOLD", "0", "1 to 1000"),
        ("AUTH_LOGIN_ADDRESSTHRESHOLD", "0", "1 to 100000"),
        ("AUTH_LOGIN_BASEDELAY", "0s", "1s"),
        ("AUTH_LOGIN_BASEDELAY", "20m", "maxdelay"),
        ("AUTH_LOGIN_MAXDELAY", "25h", "24h"),
        ("AUTH_LOGIN_DELAY", "1s", "AUTH_LOGIN_"),
        ("AUTH_SESSION_IDLE", "1m", "5m"),
        ("AUTH_SESSION_IDLE", "200h", "lifetime"),
        ("AUTH_SESSION_LIFETIME", "1m", "5m"),
        ("AUTH_ACCESSTOKEN_MAXLIFETIME", "59m", "1h"),
        ("AUTH_LOG_LEVEL", "loud", "loud"),
        ("AUTH_LOG_FORMATTER", "xml", "xml"),
        ("AUTH_TOKENS_LIFETIME", "5m", "AUTH_TOKEN_LIFETIME"),
        ("AUTH_TOKEN_LIFETIM", "5m", "AUTH_TOKEN_LIFETIME"),
    ] {
        let error = from_variables(&[(name, value)]).unwrap_err();
        assert!(error.contains(words), "{name}={value}: {error}");
        assert!(error.contains("AUTH_"), "{name}={value}: {error}");
    }
}

#[test]
fn a_refusal_in_a_file_names_the_line_and_no_secret() {
    let error = from_file("token:\n  issuer: ok\n  lifetime: 5s\n").unwrap_err();
    assert!(error.contains("auth.yml:3"), "{error}");
    assert!(error.contains("token.lifetime"), "{error}");
    let error = from_file("database:\n  url: mysql://me:s3cret@db/x\n").unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
    let error = from_file("admin:\n  password: [s3cret]\n").unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn no_secret_shows_in_debug() {
    let settings = from_variables(&[
        ("AUTH_ADMIN_PASSWORD", "s3cret-password"),
        ("AUTH_DATABASE_URL", "postgres://me:s3cret@db/auth"),
    ])
    .unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
}

fn folder_of(settings: &Settings) -> PathBuf {
    let KeyPlace::Folder(folder) = settings.key_ring().place else {
        panic!("{:?}", settings.keys);
    };
    folder.path().to_owned()
}

#[test]
fn keys_are_where_the_settings_say() {
    let key = "00".repeat(32);
    let sealed = from_variables(&[("AUTH_KEYS_ENCRYPTIONKEY", &key)]).unwrap();
    let ring = sealed.key_ring();
    assert!(matches!(
        ring.place,
        KeyPlace::Database { folder: None, .. }
    ));
    assert!(ring.bundle.is_none(), "nobody has named a folder for it");
    let with_folder = sealed.in_data_folder(Path::new("/data"));
    assert_eq!(
        with_folder.bundle_path(),
        Path::new("/data/keys/bundle.pem")
    );
    assert!(with_folder.key_ring().bundle.is_some());

    let mounted = [
        ("AUTH_KEYS_SIGNINGKEY", "/mounted/key.pem"),
        ("AUTH_KEYS_CERTIFICATE", "/mounted/cert.pem"),
    ];
    let mounted = from_variables(&mounted).unwrap();
    assert!(matches!(mounted.key_ring().place, KeyPlace::Mounted { .. }));
    assert_eq!(mounted.bundle_path(), Path::new("/mounted/cert.pem"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let name = "AUTH_KEYS_ENCRYPTIONKEY_FILE";
    let settings = from_variables(&[(name, file.to_str().unwrap())]).unwrap();
    assert!(settings.keys.encryptionkey.is_some());
}

#[test]
fn settings_of_keys_that_contradict_each_other_are_refused() {
    for (settings, words) in [
        (
            "{signingkey: a, certificate: b, rotateevery: 24h}",
            "rotateevery",
        ),
        (
            "{rotateevery: 1h, publishahead: 1h}",
            "longer than publishahead",
        ),
    ] {
        let error = from_file(&format!("keys: {settings}\n")).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let key = "00".repeat(32);
    let text = format!("keys: {{signingkey: a, certificate: b, encryptionkey: '{key}'}}\n");
    let error = from_file(&text).unwrap_err();
    assert!(
        error.contains("encryptionkey") && !error.contains(&key),
        "{error}"
    );
}

#[test]
fn what_has_no_place_goes_to_the_data_folder() {
    let folder = Path::new("/data");
    let settings = from_variables(&[]).unwrap().in_data_folder(folder);
    assert_eq!(
        settings.database_url().described(),
        "sqlite:/data/auth.sqlite"
    );
    assert_eq!(folder_of(&settings), Path::new("/data/keys"));
    assert_eq!(settings.bundle_path(), Path::new("/data/keys/bundle.pem"));

    let settings = from_variables(&[
        ("AUTH_DATABASE_URL", "sqlite:/elsewhere/a.sqlite"),
        ("AUTH_KEYS_PATH", "/elsewhere/keys"),
    ])
    .unwrap()
    .in_data_folder(folder);
    assert_eq!(
        settings.database_url().described(),
        "sqlite:/elsewhere/a.sqlite"
    );
    assert_eq!(folder_of(&settings), Path::new("/elsewhere/keys"));
}
