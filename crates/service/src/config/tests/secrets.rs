//! Secrets from files.

use secrecy::ExposeSecret as _;

use super::*;

fn secret_file(content: &[u8]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

fn read(content: &str) -> String {
    let (_directory, path) = secret_file(content.as_bytes());
    let settings = accept("", &[("REGISTRY_HTTP_SECRET_FILE", &path)]);
    settings.http.secret.unwrap().expose_secret().to_owned()
}

#[test]
fn one_newline_at_the_end_is_not_part_of_it() {
    assert_eq!(read("s3cret"), "s3cret");
    assert_eq!(read("s3cret\n"), "s3cret");
    assert_eq!(read("s3cret\r\n"), "s3cret");
    assert_eq!(read("s3cret\n\n"), "s3cret\n");
    assert_eq!(read(" s3: [#\n"), " s3: [#", "no YAML");
}

#[test]
fn in_the_file_in_lists_and_by_variable() {
    let (_directory, path) = secret_file(b"pw\n");
    let settings = accept(
        &format!(
            "http: {{secret_file: '{path}'}}\nproxies: [{{host: a, password_file: '{path}'}}]"
        ),
        &[
            ("REGISTRY_PROXIES_1_HOST", "b"),
            ("REGISTRY_PROXIES_1_PASSWORD_FILE", &path),
        ],
    );
    assert_eq!(settings.http.secret.unwrap().expose_secret(), "pw");
    for proxy in settings.proxies {
        assert_eq!(proxy.password.unwrap().expose_secret(), "pw");
    }
}

#[test]
fn a_file_that_is_missing_empty_or_no_text() {
    assert_eq!(
        refuse("", &[("REGISTRY_HTTP_SECRET_FILE", "/nonexistent/secret")]),
        "environment variable REGISTRY_HTTP_SECRET_FILE: http.secret_file: cannot read \
         /nonexistent/secret: No such file or directory (os error 2)"
    );
    let (_directory, path) = secret_file(b"\n");
    assert_eq!(
        refuse(&format!("http: {{secret_file: '{path}'}}"), &[]),
        format!("config.yml:1:21: http.secret_file: {path} is empty")
    );
    let (_directory, path) = secret_file(&[0xff, 0xfe]);
    assert_eq!(
        refuse("", &[("REGISTRY_HTTP_SECRET_FILE", &path)]),
        format!(
            "environment variable REGISTRY_HTTP_SECRET_FILE: http.secret_file: cannot read {path}: \
             stream did not contain valid UTF-8"
        )
    );
    let (_directory, path) = secret_file("x".repeat(70_000).as_bytes());
    assert_eq!(
        refuse("", &[("REGISTRY_HTTP_SECRET_FILE", &path)]),
        format!(
            "environment variable REGISTRY_HTTP_SECRET_FILE: http.secret_file: cannot read {path}: \
             longer than 65536 bytes"
        )
    );
    assert_eq!(
        refuse("http: {secret_file: [a]}", &[]),
        "config.yml:1:21: http.secret_file: expected the path of a file"
    );
}

#[test]
fn a_secret_set_twice() {
    let (_directory, path) = secret_file(b"pw");
    assert_eq!(
        refuse(
            "",
            &[
                ("REGISTRY_HTTP_SECRET", "x"),
                ("REGISTRY_HTTP_SECRET_FILE", &path)
            ]
        ),
        "environment variable REGISTRY_HTTP_SECRET_FILE: http.secret_file: set twice: as `secret` \
         (environment variable REGISTRY_HTTP_SECRET) and as `secret_file`; keep one of them"
    );
    let refusal = refuse(
        "http:\n  secret: x\n",
        &[("REGISTRY_HTTP_SECRET_FILE", &path)],
    );
    assert!(
        refusal.contains("config.yml:2:11) and as `secret_file`"),
        "{refusal}"
    );
}

#[test]
fn only_declared_secrets_have_a_twin() {
    assert_eq!(
        refuse("http: {addr_file: x}", &[]),
        "config.yml:1:8: http.addr_file: unknown key `addr_file`; did you mean `addr`?"
    );
}

#[test]
fn no_error_shows_a_secret() {
    let refusal = refuse("http: {secret: {hunter2: hunter2}}", &[]);
    assert!(!refusal.contains("hunter2"), "{refusal}");
    let (settings, _) = load_from(None, &[("REGISTRY_HTTP_SECRET", "hunter2")]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}
