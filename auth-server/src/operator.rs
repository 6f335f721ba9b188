//! [`Operator`]: whoever has the database at hand, and so may do everything through the admin API.

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

/// The command line on the machine of the database: it serves the admin API to itself alone.
#[derive(Clone, Debug)]
pub struct Operator {
    /// What the operating system calls the person, for the audit log.
    pub name: String,
    /// What requests show as their bearer token: made up at the start of the command.
    pub token: SecretString,
}

impl Operator {
    /// Whether a bearer token is this operator's.
    #[must_use]
    pub fn is_shown_by(&self, token: &str) -> bool {
        let expected = self.token.expose_secret().as_bytes();
        expected.ct_eq(token.as_bytes()).into()
    }
}
