//! Where a new password comes from: a pipe, or somebody at a terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::Failure;

/// More than any password that is accepted, so that a wrong pipe is not read to its end.
const MAX_LINE: u64 = 8 * 1024;

/// The first line of standard input, or what is typed twice at a prompt that does not echo.
pub fn read(from_stdin: bool) -> Result<SecretString, Failure> {
    if from_stdin {
        let mut line = String::new();
        io::stdin().lock().take(MAX_LINE).read_line(&mut line)?;
        let password = line.trim_end_matches(['\n', '\r']);
        if password.is_empty() {
            return Err(Failure::usage("there is no password on standard input"));
        }
        return Ok(password.into());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask for a password; pipe it in and add --password-stdin",
        ));
    }
    let first: SecretString = rpassword::prompt_password("New password: ")?.into();
    let second: SecretString = rpassword::prompt_password("Again: ")?.into();
    if first.expose_secret() != second.expose_secret() {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(first)
}
