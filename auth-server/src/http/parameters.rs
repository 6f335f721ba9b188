//! Parameters of a query string or of a form body (`application/x-www-form-urlencoded`).

use percent_encoding::percent_decode;

/// How many parameters one request may have: a scope each, and the dozen others.
pub const MAX_PARAMETERS: usize = 256;

/// Parameters in the order they were sent; names may repeat.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

/// Values may be passwords.
impl std::fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Why parameters cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParameters {
    #[error("there are more than {MAX_PARAMETERS} parameters")]
    TooMany,
    #[error("a parameter is not UTF-8")]
    Utf8,
    #[error("the parameter `{0}` is given twice, with different values")]
    Ambiguous(&'static str),
    #[error("the parameter `{0}` must be true or false")]
    NoFlag(&'static str),
}

impl Parameters {
    /// Reads `name=value&name=value`. <https://url.spec.whatwg.org/#urlencoded-parsing>, but
    /// bytes that are not UTF-8 are refused instead of replaced: a replaced character in a
    /// password would be a wrong password that nobody can explain.
    pub fn parse(encoded: &[u8]) -> Result<Self, InvalidParameters> {
        let mut parameters = Vec::new();
        for pair in encoded.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(InvalidParameters::TooMany);
            }
            let split = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match split {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            parameters.push((decode(name)?, decode(value)?));
        }
        Ok(Self(parameters))
    }

    /// The one value of a parameter. Repeating it is harmless as long as the value is the same.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, InvalidParameters> {
        let mut values = self.all(name);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(InvalidParameters::Ambiguous(name));
        }
        Ok(first)
    }

    /// A parameter that is true or false.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, InvalidParameters> {
        let value = self.one(name)?.map(str::parse).transpose();
        value.map_err(|_| InvalidParameters::NoFlag(name))
    }

    /// The first name that is none of those `known`: a filter that would not filter, or a wish that
    /// nobody would grant.
    pub fn unknown<'p>(&'p self, known: &[&str]) -> Option<&'p str> {
        self.names().find(|name| !known.contains(name))
    }

    /// Names and values, in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names, in the order they were sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// All values of a parameter.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

fn decode(encoded: &[u8]) -> Result<String, InvalidParameters> {
    let spaced: Vec<u8> = encoded
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| InvalidParameters::Utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_decoded_in_order() {
        let parameters =
            Parameters::parse(b"scope=a%3Ab%3Apull+c&&scope=d&service=&flag&=x&p=%26%3D%2B%C3%A4%")
                .unwrap();
        assert_eq!(
            parameters.all("scope").collect::<Vec<_>>(),
            ["a:b:pull c", "d"]
        );
        assert_eq!(parameters.one("service").unwrap(), Some(""));
        assert_eq!(parameters.one("flag").unwrap(), Some(""));
        assert_eq!(parameters.one("p").unwrap(), Some("&=+ä%"));
        assert_eq!(parameters.one("missing").unwrap(), None);
    }

    #[test]
    fn one_value_may_be_repeated_but_not_contradicted() {
        let parameters = Parameters::parse(b"a=1&a=1&b=1&b=2").unwrap();
        assert_eq!(parameters.one("a").unwrap(), Some("1"));
        assert_eq!(
            parameters.one("b").unwrap_err(),
            InvalidParameters::Ambiguous("b")
        );
    }

    #[test]
    fn what_is_not_utf8_and_what_is_too_much_is_refused() {
        assert_eq!(
            Parameters::parse(b"a=%FF").unwrap_err(),
            InvalidParameters::Utf8
        );
        assert_eq!(
            Parameters::parse(b"\xff=1").unwrap_err(),
            InvalidParameters::Utf8
        );
        assert!(Parameters::parse(&b"a=1&".repeat(MAX_PARAMETERS)).is_ok());
        assert_eq!(
            Parameters::parse(&b"a=1&".repeat(MAX_PARAMETERS + 1)).unwrap_err(),
            InvalidParameters::TooMany
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let parameters = Parameters::parse(b"password=s3cret").unwrap();
        assert_eq!(format!("{parameters:?}"), "[\"password\"]");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parameters::parse(&bytes);
        }

        #[test]
        fn what_was_written_is_read(pairs in proptest::collection::vec((".{0,10}", ".{0,20}"), 0..9)) {
            let encoded = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&pairs)
                .finish();
            let parameters = Parameters::parse(encoded.as_bytes()).unwrap();
            prop_assert_eq!(parameters.0, pairs);
        }
    }
}
