use proptest::prelude::*;

use super::*;

#[test]
fn hosts_are_as_images_name_them() {
    for (text, name) in [
        ("registry.example.com", "registry.example.com"),
        ("registry.example.com:5000", "registry.example.com"),
        ("Registry.Example.COM", "registry.example.com"),
        ("localhost", "localhost"),
        ("registry:5000", "registry"),
        ("10.0.0.7:443", "10.0.0.7"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[::1]:5000", "[::1]"),
    ] {
        let host: RegistryHost = text.parse().unwrap();
        assert_eq!(host.as_str(), text.to_ascii_lowercase());
        assert_eq!(host.name(), name);
    }
}

#[test]
fn what_is_no_host_is_refused_with_a_reason() {
    for (text, words) in [
        ("https://registry.example.com", "without `https://`"),
        ("http://registry.example.com", "without `http://`"),
        ("registry.example.com/team", "without a path"),
        ("registry.example.com/", "without a path"),
        ("registry.example.com:", "a port"),
        ("registry.example.com:0", "a port"),
        ("registry.example.com:65536", "a port"),
        ("registry.example.com:05000", "a port"),
        ("registry.example.com:https", "a port"),
        ("registry example.com", "is written as"),
        (" registry.example.com", "is written as"),
        ("registry.example.com\n", "is written as"),
        ("alice@registry.example.com", "is written as"),
        ("registry_1.example.com", "is written as"),
        ("-registry.example.com", "is written as"),
        ("registry..example.com", "is written as"),
        ("registr\u{ff59}.example.com", "is written as"),
        ("2001:db8::1", "is written as"),
        ("[2001:db8::1", "is written as"),
        ("", "is written as"),
        (".", "is written as"),
        ("registry", "Docker Hub"),
    ] {
        let error = text.parse::<RegistryHost>().unwrap_err().to_string();
        assert!(error.contains(words), "{text:?}: {error}");
    }
}

proptest! {
    #[test]
    fn what_is_taken_can_be_written_into_any_file(text in "\\PC{0,40}|[a-z0-9.:\\[\\]-]{0,30}") {
        if let Ok(host) = text.parse::<RegistryHost>() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
            prop_assert!(host.as_str().bytes().all(plain));
            prop_assert_eq!(host.as_str().parse(), Ok(host.clone()));
            let url = url::Url::parse(&format!("https://{host}/v2/"));
            prop_assert!(url.is_ok(), "{}", host);
        }
    }
}
