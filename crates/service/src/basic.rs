//! The header `Authorization: Basic`. RFC 7617.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;

/// The longest header, in bytes: an ID token of another issuer, sent as the password, has to fit.
pub const MAX_HEADER_LENGTH: usize = 16 * 1_024;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A username and a password, as sent.
#[derive(Clone, Debug)]
pub struct BasicCredentials {
    pub username: String,
    pub password: SecretString,
}

/// Why a header holds no Basic credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBasic {
    #[error("the Authorization header is longer than {MAX_HEADER_LENGTH} bytes")]
    TooLong,
    #[error("the Authorization header is not of the scheme Basic")]
    Scheme,
    #[error("the Basic credentials are not base64")]
    Base64,
    #[error("the Basic credentials are not UTF-8")]
    Utf8,
    #[error("the Basic credentials are not of the form username:password")]
    NoColon,
}

/// Reads a header. The password is all that follows the first colon, other colons included.
pub fn parse(header: &[u8]) -> Result<BasicCredentials, InvalidBasic> {
    if header.len() > MAX_HEADER_LENGTH {
        return Err(InvalidBasic::TooLong);
    }
    let scheme = header.get(..6).ok_or(InvalidBasic::Scheme)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return Err(InvalidBasic::Scheme);
    }
    let encoded = header.get(6..).unwrap_or_default().trim_ascii();
    let decoded = BASE64.decode(encoded).map_err(|_| InvalidBasic::Base64)?;
    let text = String::from_utf8(decoded).map_err(|_| InvalidBasic::Utf8)?;
    let (username, password) = text.split_once(':').ok_or(InvalidBasic::NoColon)?;
    Ok(BasicCredentials {
        username: username.to_owned(),
        password: password.into(),
    })
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn header(credentials: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(credentials))
    }

    #[test]
    fn a_password_may_contain_anything() {
        for (text, username, password) in [
            ("alice:secret", "alice", "secret"),
            ("alice:se:cr:et", "alice", "se:cr:et"),
            ("alice:", "alice", ""),
            (":secret", "", "secret"),
            ("alice:pässwörd ☃", "alice", "pässwörd ☃"),
        ] {
            let credentials = parse(header(text).as_bytes()).unwrap();
            assert_eq!(credentials.username, username);
            assert_eq!(credentials.password.expose_secret(), password);
        }
    }

    #[test]
    fn the_scheme_has_no_case_and_the_padding_no_importance() {
        for header in [
            "basic YTpi",
            "BASIC YTpi",
            "Basic  YTpi ",
            "Basic YTpiYw==",
            "Basic YTpiYw",
        ] {
            assert_eq!(parse(header.as_bytes()).unwrap().username, "a", "{header}");
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        let not_utf8 = format!("Basic {}", BASE64_STANDARD.encode([b'a', b':', 0xff]));
        let long = header(&"x".repeat(MAX_HEADER_LENGTH));
        for (header, expected) in [
            ("", InvalidBasic::Scheme),
            ("Basic", InvalidBasic::Scheme),
            ("Bearer YTpi", InvalidBasic::Scheme),
            ("Basicx YTpi", InvalidBasic::Scheme),
            ("Basic Y*pi", InvalidBasic::Base64),
            ("Basic YTp", InvalidBasic::Base64),
            ("Basic ", InvalidBasic::NoColon),
            ("Basic YWxpY2U=", InvalidBasic::NoColon),
            (&not_utf8, InvalidBasic::Utf8),
            (&long, InvalidBasic::TooLong),
        ] {
            assert_eq!(
                parse(header.as_bytes()).unwrap_err(),
                expected,
                "{header:.40}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"Basic ".as_slice(), &bytes].concat());
        }

        #[test]
        fn what_was_written_is_read(username in "[^:]{0,20}", password in ".{0,40}") {
            let credentials = parse(header(&format!("{username}:{password}")).as_bytes()).unwrap();
            prop_assert_eq!(credentials.username, username);
            prop_assert_eq!(credentials.password.expose_secret(), &password);
        }
    }
}
