//! Why a command ends without success, and the exit code that says so.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Exit code 1: it was tried and did not work. Exit code 2: what was asked makes no sense.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or configuration; nothing was done.
    Usage(String),
    /// Something went wrong on the way.
    Failed(String),
}

impl Failure {
    pub fn usage(reason: impl Display) -> Self {
        Self::Usage(reason.to_string())
    }

    pub fn failed(reason: impl Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// Why, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Usage(reason) | Self::Failed(reason) => reason,
        }
    }

    /// Tells the user, and the shell.
    pub fn report(&self) -> ExitCode {
        let (reason, code) = match self {
            Self::Usage(reason) => (reason, 2),
            Self::Failed(reason) => (reason, 1),
        };
        // Nobody is left to tell if even that fails.
        let _ = writeln!(io::stderr(), "error: {reason}");
        ExitCode::from(code)
    }
}

impl<E: Error> From<E> for Failure {
    /// Anything that has no better place is a failure, told with its causes.
    fn from(error: E) -> Self {
        Self::Failed(with_causes(&error))
    }
}

/// What an error says, and what the errors behind it add to that.
pub fn with_causes(error: &impl Error) -> String {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some messages quote their cause already.
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    reason
}
