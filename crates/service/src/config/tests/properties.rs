//! Whatever the input, the loader answers; and what it prints, it reads.

use proptest::prelude::*;

use super::*;

/// Text that looks like YAML more often than random characters do.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "http", "log", "storage", "proxies", "auth", "secret_file", ": ", ":", "- ", "\n",
            "\n  ", "\n    ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<", "~", "'", "\"", "# ",
            "---\n", "|\n", "!x ", "? ", "%", "\t", "0x1", "true", "1h",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn variable() -> impl Strategy<Value = (String, String)> {
    let word = prop::sample::select(vec![
        "HTTP",
        "TLS",
        "KEY",
        "ADDR",
        "SECRET",
        "FILE",
        "LOG",
        "FIELDS",
        "X",
        "PROXIES",
        "0",
        "1",
        "99999999999999999999",
        "HOST",
        "AUTH",
        "TOKEN",
        "REALM",
        "STORAGE",
        "",
        "É",
    ]);
    (prop::collection::vec(word, 0..5), yaml_like())
        .prop_map(|(words, value)| (format!("REGISTRY_{}", words.join("_")), value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_input_panics(text in yaml_like(), variables in prop::collection::vec(variable(), 0..4)) {
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        match load_from(Some(&text), &variables) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_variable_reaches_a_text_unchanged(value in "[^\\x00'\"]{1,40}") {
        prop_assume!(!matches!(value.trim(), "" | "~" | "null" | "Null" | "NULL"));
        let (settings, _) = load_from(None, &[("REGISTRY_HTTP_ADDR", &value)]).unwrap();
        prop_assert_eq!(settings.http.addr, value);
    }

    #[test]
    fn a_duration_reads_what_it_prints(nanoseconds in 0..3_000_000_000_000_000_000_u64) {
        let duration = Duration::from(std::time::Duration::from_nanos(nanoseconds));
        prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
    }

    #[test]
    fn no_text_breaks_a_duration(text in "[-+0-9.nuµmsh]{0,30}") {
        let _ = text.parse::<Duration>();
    }
}

#[test]
fn durations_as_go_reads_them() {
    let nanoseconds = |text: &str| text.parse::<Duration>().map(|d| d.get().as_nanos()).ok();
    for (text, expected) in [
        ("0", 0),
        ("0s", 0),
        ("5s", 5_000_000_000),
        ("30m", 1_800_000_000_000),
        ("1h15m30.918273645s", 4_530_918_273_645),
        ("250ms", 250_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("5us", 5_000),
        ("5µs", 5_000),
        ("5μs", 5_000),
        ("+5ns", 5),
        ("168h", 604_800_000_000_000),
        ("0.100000000000000000000h", 360_000_000_000),
    ] {
        assert_eq!(nanoseconds(text), Some(expected), "{text}");
    }
    for text in [
        "", ".", "s", ".s", "+", "-", "5", "1.5", "5 s", "s5", "3000000h", "1e3s", "--5s",
    ] {
        assert_eq!(nanoseconds(text), None, "{text:?}");
    }
}
