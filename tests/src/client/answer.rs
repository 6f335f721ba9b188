//! [`Answer`]: what came back, and what may be expected of it.

use std::fmt;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

/// What came back, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for messages.
    pub(crate) line: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Checks that it is an error as the specification wants it: status, code, a sentence.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{self}");
        assert!(
            self.header("content-type").starts_with("application/json"),
            "{self}"
        );
        let body = self.json();
        let error = &body["errors"][0];
        assert_eq!(error["code"], code, "{self}");
        assert!(
            error["message"].as_str().is_some_and(|m| !m.is_empty()),
            "an error needs a sentence: {self}"
        );
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self}"))
            .to_str()
            .unwrap()
    }

    /// Checks a header's value.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), value, "{name} in {self}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }

    #[track_caller]
    pub fn challenge(&self) -> Challenge {
        Challenge::parse(self.header("www-authenticate"))
            .unwrap_or_else(|| panic!("no challenge in {self}"))
    }

    /// The target of `Link: <…>; rel="next"`.
    pub fn next_page(&self) -> Option<String> {
        let link = self.headers.get("link")?.to_str().unwrap();
        let (target, rel) = link.strip_prefix('<')?.split_once('>')?;
        assert_eq!(rel.trim(), r#"; rel="next""#, "{self}");
        Some(target.to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nanswered {}", self.line, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let shown = &self.body[..self.body.len().min(2000)];
        write!(f, "{}", String::from_utf8_lossy(shown))
    }
}

/// What `WWW-Authenticate` asks for.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub realm: Url,
    pub service: String,
    pub scope: Option<String>,
    pub error: Option<String>,
}

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…",error="…"`
    pub fn parse(header: &str) -> Option<Self> {
        let parameters = header.strip_prefix("Bearer ")?;
        let mut found = std::collections::HashMap::new();
        let mut rest = parameters;
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"')?;
            found.insert(name.trim_start_matches([',', ' ']), value.to_owned());
            rest = after;
        }
        Some(Self {
            realm: Url::parse(&found.remove("realm")?).ok()?,
            service: found.remove("service")?,
            scope: found.remove("scope"),
            error: found.remove("error"),
        })
    }
}
