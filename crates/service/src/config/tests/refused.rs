//! What is refused, in which words.

use super::*;

#[test]
fn an_unknown_key_names_the_nearest() {
    assert_eq!(
        refuse("http:\n  adress: ':5000'\n", &[]),
        "config.yml:2:3: http.adress: unknown key `adress`; did you mean `addr`?"
    );
    assert_eq!(
        refuse("loging: {}\n", &[]),
        "config.yml:1:1: loging: unknown key `loging`; did you mean `log`?"
    );
    assert_eq!(
        refuse("x: {}\n", &[]),
        "config.yml:1:1: x: unknown key `x`; known are `auth`, `catalog`, `http`, `log`, \
         `proxies`, `redis`, `storage`, `version`"
    );
    assert_eq!(
        refuse("catalog: {zzz: 1}\n", &[]),
        "config.yml:1:11: catalog.zzz: unknown key `zzz`; the only known one is `maxentries`"
    );
    assert_eq!(
        refuse("proxies:\n  - host: a\n  - host: b\n    ttll: 1h\n", &[]),
        "config.yml:4:5: proxies.1.ttll: unknown key `ttll`; did you mean `ttl`?"
    );
}

#[test]
fn a_wrong_type_names_what_was_found() {
    for (text, message) in [
        (
            "log:\n  accesslog:\n    disabled: maybe\n",
            "config.yml:3:15: log.accesslog.disabled: expected true or false, found `maybe`",
        ),
        (
            "catalog:\n  maxentries: many\n",
            "config.yml:2:15: catalog.maxentries: expected a whole number from -2147483648 to \
             2147483647, found `many`",
        ),
        (
            "catalog: {maxentries: 3000000000}\n",
            "config.yml:1:23: catalog.maxentries: expected a whole number from -2147483648 to \
             2147483647, found `3000000000`",
        ),
        (
            "storage: {filesystem: {rootdirectory: /d, maxthreads: 1.5}}\n",
            "config.yml:1:55: storage.filesystem.maxthreads: expected a whole number from 0 to \
             65535, found `1.5`",
        ),
        (
            "storage: {filesystem: {rootdirectory: /d, maxthreads: '7'}}\n",
            "config.yml:1:55: storage.filesystem.maxthreads: expected a whole number from 0 to \
             65535, found `7`",
        ),
        (
            "http: {addr: [1]}\n",
            "config.yml:1:14: http.addr: expected text, found a list",
        ),
        (
            "http: {addr: {a: b}}\n",
            "config.yml:1:14: http.addr: expected text, found a section",
        ),
        (
            "http: on\n",
            "config.yml:1:7: http: expected a section (`key: value` lines), found `on`",
        ),
        (
            "proxies: docker.io\n",
            "config.yml:1:10: proxies: expected a list, found `docker.io`; write it as `[a, b]` \
             or with `- ` lines",
        ),
        (
            "log: {fields: 3}\n",
            "config.yml:1:15: log.fields: expected a section (`key: value` lines), found `3`",
        ),
        (
            "- a\n",
            "config.yml:1:1: expected a section (`key: value` lines), found a list",
        ),
        (
            "log: {level: loud}\n",
            "config.yml:1:14: log.level: `loud` is not possible here; known are `debug`, \
             `error`, `info`, `trace`, `warn`, `warning`",
        ),
        (
            "log: {level: inf}\n",
            "config.yml:1:14: log.level: `inf` is not possible here; did you mean `info`?",
        ),
    ] {
        assert_eq!(refuse(text, &[]), message, "{text}");
    }
}

#[test]
fn bad_durations() {
    for (text, message) in [
        ("30", "`30` has no unit; write 30s, 30m or 30h"),
        (
            "soon",
            "`soon` is no duration; write it like 90s, 1m30s, 250ms or 168h",
        ),
        (
            "1d",
            "`1d` is no duration; write it like 90s, 1m30s, 250ms or 168h",
        ),
        ("-5s", "`-5s` is negative"),
        ("99999999h", "`99999999h` is too long"),
    ] {
        assert_eq!(
            refuse(&format!("http:\n  draintimeout: {text}\n"), &[]),
            format!("config.yml:2:17: http.draintimeout: {message}")
        );
    }
}

#[test]
fn a_bad_list_item_is_named() {
    assert_eq!(
        refuse(
            "http:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - 10.0.0/8\n",
            &[]
        ),
        "config.yml:4:7: http.trusted_proxies.1: `10.0.0/8` is no address (192.0.2.7), no network \
         (10.0.0.0/8) and none of loopback, private, unix"
    );
}

#[test]
fn a_required_key_names_its_variable() {
    assert_eq!(
        refuse("http:\n  tls:\n    certificate: c.pem\n", &[]),
        "config.yml:3:5: http.tls.key: required, but not set (the variable is REGISTRY_HTTP_TLS_KEY)"
    );
    assert_eq!(
        refuse("", &[("REGISTRY_HTTP_TLS_KEY", "k.pem")]),
        "environment variable REGISTRY_HTTP_TLS_KEY: http.tls.certificate: required, but not set \
         (the variable is REGISTRY_HTTP_TLS_CERTIFICATE)"
    );
}

#[test]
fn a_key_that_is_known_and_refused_says_why() {
    assert_eq!(
        refuse("redis:\n  addr: localhost\n", &[]),
        "config.yml:2:3: redis: there is no cache to put there"
    );
    assert_eq!(
        refuse("", &[("REGISTRY_REDIS_ADDR", "localhost")]),
        "environment variable REGISTRY_REDIS_ADDR: redis: there is no cache to put there"
    );
}

#[test]
fn several_problems_at_once_in_the_order_of_the_file() {
    assert_eq!(
        refuse(
            "
storage:
  filesystem: {rootdirectory: /d, maxthreads: lots}
log: {level: loud, levle: x}
http: {draintimeout: 5, adr: x}
",
            &[
                ("REGISTRY_CATALOG_MAXENTRIES", "all"),
                ("REGISTRY_HTTP_ADR", "x")
            ]
        ),
        "config.yml:3:47: storage.filesystem.maxthreads: expected a whole number from 0 to 65535, \
         found `lots`
config.yml:4:14: log.level: `loud` is not possible here; known are `debug`, `error`, `info`, \
`trace`, `warn`, `warning`
config.yml:4:20: log.levle: unknown key `levle`; did you mean `level`?
config.yml:5:22: http.draintimeout: `5` has no unit; write 5s, 5m or 5h
config.yml:5:25: http.adr: unknown key `adr`; did you mean `addr`?
environment variable REGISTRY_HTTP_ADR: sets nothing that exists; did you mean `REGISTRY_HTTP_ADDR`?
environment variable REGISTRY_CATALOG_MAXENTRIES: catalog.maxentries: expected a whole number \
from -2147483648 to 2147483647, found `all`"
    );
}

#[test]
fn a_missing_key_does_not_hide_what_comes_after_it() {
    assert_eq!(
        refuse(
            "http: {tls: {key: k}}\nproxies: [{ttl: 1h}, {host: b, ttl: 5}]\nredis: {}\n",
            &[("REGISTRY_CATALOG_MAXENTRIES", "all")]
        ),
        "config.yml:1:13: http.tls.certificate: required, but not set (the variable is \
         REGISTRY_HTTP_TLS_CERTIFICATE)
config.yml:2:11: proxies.0.host: required, but not set (the variable is REGISTRY_PROXIES_0_HOST)
config.yml:2:37: proxies.1.ttl: `5` has no unit; write 5s, 5m or 5h
config.yml:3:8: redis: there is no cache to put there
environment variable REGISTRY_CATALOG_MAXENTRIES: catalog.maxentries: expected a whole number \
from -2147483648 to 2147483647, found `all`"
    );
}

#[test]
fn a_bad_value_of_a_required_key_is_one_problem() {
    assert_eq!(
        refuse("http: {tls: {certificate: [], key: k}}\n", &[]),
        "config.yml:1:27: http.tls.certificate: expected text, found a list"
    );
}

#[test]
fn a_variable_that_sets_nothing() {
    for (name, message) in [
        (
            "REGISTRY_HTP_ADDR",
            "sets nothing that exists; did you mean `REGISTRY_HTTP_ADDR`?",
        ),
        (
            "REGISTRY_HTTP_TLS_CERTFICATE",
            "sets nothing that exists; did you mean `REGISTRY_HTTP_TLS_CERTIFICATE`?",
        ),
        (
            "REGISTRY_HTTP_TRUSTED_PROXYS",
            "`http.trusted` is a single value; nothing is below it",
        ),
        (
            "REGISTRY_CATALOG_ZZZ",
            "sets nothing that exists; after REGISTRY_CATALOG_ may come MAXENTRIES",
        ),
        (
            "REGISTRY_HTTP_ADDR_X",
            "`http.addr` is a single value; nothing is below it",
        ),
        (
            "REGISTRY_PROXIES_FIRST_HOST",
            "`proxies` is a list: the variable goes on with a number from 0, not with `FIRST`",
        ),
        (
            "REGISTRY_PROXIES_2_HOST",
            "the list has 0 items, so the next one is number 0, not 2",
        ),
    ] {
        let refusal = refuse("", &[(name, "1")]);
        let expected = format!("environment variable {name}: ");
        let first = refusal.lines().next().unwrap_or_default();
        let rest = first.strip_prefix(&expected).unwrap_or(first);
        let rest = rest.split_once(": ").filter(|_| !rest.starts_with("sets"));
        let said = rest.map_or(&first[expected.len()..], |(_key, rest)| rest);
        assert_eq!(said, message, "{name}");
    }
}

#[test]
fn a_variable_over_another_kind_of_section() {
    assert_eq!(
        refuse(
            "storage: {maintenance: {readonly: yes}}\n",
            &[("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")]
        ),
        "config.yml:1:35: storage.maintenance.readonly: expected a section (`key: value` lines), \
         found `yes`"
    );
    assert_eq!(
        refuse("proxies: {a: b}\n", &[("REGISTRY_PROXIES_0_HOST", "x")]),
        "config.yml:1:10: proxies: expected a list, found a section; write it as `[a, b]` or with \
         `- ` lines"
    );
}

#[test]
fn alternatives_that_exclude_each_other() {
    assert_eq!(
        refuse(
            "auth: {htpasswd: {path: p}, token: {realm: r, service: s}}\n",
            &[]
        ),
        "config.yml:1:7: auth: expected exactly one of `token`, `htpasswd`, `none`"
    );
    assert_eq!(
        refuse("auth: {tokn: {realm: r}}\n", &[]),
        "config.yml:1:7: auth: expected exactly one of `token`, `htpasswd`, `none`
config.yml:1:8: auth.tokn: unknown key `tokn`; did you mean `token`?"
    );
    assert_eq!(
        refuse("auth: silly\n", &[]),
        "config.yml:1:7: auth: `silly` is not possible here; known are `htpasswd`, `none`, `token`"
    );
    assert_eq!(
        refuse("auth: [token]\n", &[]),
        "config.yml:1:7: auth: expected one of `token`, `htpasswd`, `none`, found a list"
    );
}

#[test]
fn duplicate_keys() {
    let refusal = refuse("http:\n  addr: a\n  addr: b\n", &[]);
    assert!(
        refusal.starts_with("config.yml:3:3: duplicate key `addr`, first written at ")
            && refusal.ends_with("config.yml:2:3"),
        "{refusal}"
    );
}

#[test]
fn what_is_not_yaml_or_not_one_document() {
    for (text, beginning) in [
        ("http: [", "config.yml:"),
        ("http:\n\taddr: x\n", "config.yml:"),
        ("a: 'unclosed\n", "config.yml:"),
    ] {
        let refusal = refuse(text, &[]);
        assert!(refusal.starts_with(beginning), "{refusal}");
        assert!(refusal.contains(": not valid YAML: "), "{refusal}");
    }
    assert_eq!(
        refuse("log: {}\n---\nhttp: {}\n", &[]),
        "config.yml:2:1: a second YAML document starts here; a configuration is a single document"
    );
    assert_eq!(
        refuse("http: !include http.yml\n", &[]),
        "config.yml:1:7: the YAML tag `!include` is not supported"
    );
    assert_eq!(
        refuse("? [a, b]\n: c\n", &[]),
        "config.yml:1:3: a key must be plain text"
    );
    assert_eq!(
        refuse("log: {<<: 3}\n", &[]),
        "config.yml:1:6: `<<` takes a mapping or a list of mappings"
    );
}

#[test]
fn what_would_eat_the_memory() {
    use std::fmt::Write as _;

    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        writeln!(laughs, "a{level}: &a{level} [{previous}]").unwrap();
    }
    let refusal = refuse(&laughs, &[]);
    assert!(
        refusal.ends_with("more than 50000 values after expanding aliases"),
        "{refusal}"
    );

    let deep = format!("a: {}", "[".repeat(100));
    let refusal = refuse(&deep, &[]);
    assert_eq!(refusal, "config.yml:1:35: nested deeper than 32 levels");

    let deeper = format!("a: {}", "[".repeat(100_000));
    let refusal = refuse(&deeper, &[]);
    assert!(
        refusal.ends_with("not valid YAML: recursion limit exceeded"),
        "{refusal}"
    );

    let refusal = refuse("a: &a [*a]\n", &[]);
    assert!(refusal.contains("alias"), "{refusal}");

    let long = format!("# {}\n", "x".repeat(600_000));
    let refusal = refuse(&long, &[]);
    assert!(
        refusal.ends_with("config.yml: longer than 524288 bytes"),
        "{refusal}"
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let source = Source::new("REGISTRY")
        .variables::<&str, &str>([])
        .file("/nonexistent/config.yml");
    let error = load::<Settings>(&source).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration file /nonexistent/config.yml: No such file or directory \
         (os error 2)"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, b"log: {}\nhttp: \xff\n").unwrap();
    let error = load::<Settings>(&Source::new("X").file(&path)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("config.yml: not UTF-8 text (line 2)"),
        "{error}"
    );
}

#[test]
fn a_variable_that_is_not_text() {
    use std::os::unix::ffi::OsStringExt as _;

    let value = std::ffi::OsString::from_vec(vec![0xff]);
    let source = Source::new("REGISTRY").variables([("REGISTRY_HTTP_ADDR", value)]);
    assert_eq!(
        load::<Settings>(&source).unwrap_err().to_string(),
        "environment variable REGISTRY_HTTP_ADDR: not UTF-8 text"
    );
}

#[test]
fn a_long_value_is_not_repeated_in_full() {
    let text = format!("log: {{level: {}}}", "x".repeat(1000));
    assert!(refuse(&text, &[]).len() < 1300);
    let text = format!("catalog: {{maxentries: {}}}", "x".repeat(1000));
    assert!(refuse(&text, &[]).ends_with(&format!("found `{}…`", "x".repeat(60))));
}
