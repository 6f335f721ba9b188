//! What must hold for any input of auth-server's own parsers.
//!
//! Each function is one fuzz target, and runs over the seeds as an ordinary test of auth-server.

#![allow(dead_code, reason = "each fuzz target calls one of the checks")]
#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret;

use super::{basic, parameters};

/// The header `Authorization: Basic`.
pub fn basic(input: &[u8]) {
    let Ok(credentials) = basic::parse(input) else {
        return;
    };
    assert!(!credentials.username.contains(':'));
    // Written again, it is read as the same.
    let password = credentials.password.expose_secret();
    let again = format!("{}:{password}", credentials.username);
    let again = format!("Basic {}", BASE64_STANDARD.encode(again));
    if again.len() <= basic::MAX_HEADER_LENGTH {
        let again = basic::parse(again.as_bytes()).unwrap();
        assert_eq!(again.username, credentials.username);
        assert_eq!(again.password.expose_secret(), password);
    }
}

/// A query string or a form body.
pub fn form(input: &[u8]) {
    let Ok(parameters) = parameters::Parameters::parse(input) else {
        return;
    };
    for name in ["service", "scope", "username", "password", ""] {
        let all: Vec<&str> = parameters.all(name).collect();
        assert!(all.len() <= parameters::MAX_PARAMETERS);
        if let Ok(one) = parameters.one(name) {
            assert_eq!(one, all.first().copied());
        }
    }
}
