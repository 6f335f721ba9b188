//! Why a request was refused, and the challenge that tells its client what to bring: `Bearer` says
//! where to get a token and for what, `Basic` asks for a password.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::fmt::Write as _;

use registry_token::VerifyError;

/// A request that its token does not allow. The answer is always 401, never 403 or 404: a client
/// may try again with another token, and learns nothing about what exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Refusal {
    pub reason: Reason,
    scopes: Vec<String>,
    /// What the issuer of the token has to say about it.
    denial: Option<String>,
}

/// Its sentences may be shown to clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("authentication required")]
    NoToken,
    #[error("unknown user or wrong password")]
    WrongPassword,
    #[error(transparent)]
    InvalidToken(VerifyError),
    #[error("the token does not allow this")]
    InsufficientScope,
}

impl Refusal {
    #[must_use]
    pub fn new(reason: Reason, scopes: Vec<String>) -> Self {
        Self {
            reason,
            scopes,
            denial: None,
        }
    }

    /// Lets the issuer of the token explain, if it does.
    #[must_use]
    pub fn explained(mut self, denial: Option<&str>) -> Self {
        self.denial = denial.map(str::to_owned);
        self
    }

    /// What the issuer of the token has to say.
    #[must_use]
    pub fn denial(&self) -> Option<&str> {
        self.denial.as_deref()
    }

    fn sentence(&self) -> String {
        match &self.denial {
            Some(denial) => denial.clone(),
            None => self.reason.to_string(),
        }
    }

    /// Asks for these scopes as well: a client that got them one after the other would lose the
    /// first with the second token.
    #[must_use]
    pub fn also(mut self, scopes: Vec<String>) -> Self {
        self.scopes.extend(scopes);
        self
    }

    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The value of `WWW-Authenticate`.
    ///
    /// `error` is left out when no token was sent, as RFC 6750, 3.1 asks: docker takes it for a
    /// failed login otherwise.
    #[must_use]
    pub fn challenge(&self, realm: &str, service: &str) -> String {
        let mut header = format!(
            "Bearer realm=\"{}\",service=\"{}\"",
            quotable(realm),
            quotable(service)
        );
        // Writing to a String does not fail.
        if !self.scopes.is_empty() {
            let _ = write!(header, ",scope=\"{}\"", quotable(&self.scopes.join(" ")));
        }
        match self.reason {
            Reason::NoToken | Reason::WrongPassword => {}
            Reason::InvalidToken(_) => header.push_str(",error=\"invalid_token\""),
            Reason::InsufficientScope => header.push_str(",error=\"insufficient_scope\""),
        }
        // docker shows this in place of its own, shorter words.
        if let Some(denial) = &self.denial {
            let _ = write!(header, ",error_description=\"{}\"", quotable(denial));
        }
        header
    }
}

/// The value of `WWW-Authenticate` where users have passwords.
#[must_use]
pub fn basic(realm: &str) -> String {
    format!("Basic realm=\"{}\"", quotable(realm))
}

/// Text as it may stand between quotation marks. Clients' parsers are too simple for an escaped
/// quotation mark, so what would need escaping is dropped.
fn quotable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(reason: Reason, scopes: &[&str]) -> String {
        Refusal::new(reason, scopes.iter().map(ToString::to_string).collect())
            .challenge("https://auth.example/token", "registry.example")
    }

    #[test]
    fn a_missing_token_is_no_error() {
        assert_eq!(
            challenge(Reason::NoToken, &[]),
            r#"Bearer realm="https://auth.example/token",service="registry.example""#
        );
        assert_eq!(
            challenge(Reason::NoToken, &["repository:a/b:pull"]),
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull""#
        );
    }

    #[test]
    fn a_wrong_token_and_a_narrow_one_are_told_apart() {
        assert!(
            challenge(
                Reason::InvalidToken(VerifyError::BadSignature),
                &["repository:a:pull"]
            )
            .ends_with(r#",scope="repository:a:pull",error="invalid_token""#)
        );
        assert!(
            challenge(
                Reason::InsufficientScope,
                &["repository:a:pull,push", "repository:b:pull"]
            )
            .ends_with(
                r#",scope="repository:a:pull,push repository:b:pull",error="insufficient_scope""#
            )
        );
    }

    #[test]
    fn the_issuer_may_explain() {
        let refusal = Refusal::new(
            Reason::InsufficientScope,
            vec!["repository:a:push".to_owned()],
        );
        assert_eq!(refusal.to_string(), "the token does not allow this");
        let refusal = refusal.explained(Some("ask, \"b\""));
        assert_eq!(refusal.to_string(), "ask, \"b\"");
        let header = refusal.challenge("https://auth.example/token", "registry.example");
        assert!(
            header.ends_with(
                r#",scope="repository:a:push",error="insufficient_scope",error_description="ask, b""#
            ),
            "{header}"
        );
    }

    #[test]
    fn nothing_breaks_out_of_the_quotation_marks() {
        let header = Refusal::new(Reason::NoToken, Vec::new())
            .challenge("https://a/\",error=\"x\r\nSet-Cookie: a", "s\\");
        assert_eq!(
            header,
            r#"Bearer realm="https://a/,error=xSet-Cookie: a",service="s""#
        );
    }
}
