//! Where a password comes from: a pipe, or somebody at a terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::Failure;

/// More than any password that is accepted, so that a wrong pipe is not read to its end.
const MAX_LINE: u64 = 8 * 1024;

/// The first line of a file that holds a token.
pub fn from_file(path: &Path) -> Result<SecretString, Failure> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    let line = first_line(BufReader::new(file))?;
    line.ok_or_else(|| Failure::usage(format!("{shown} is empty")))
}

/// The first line of standard input, or what is typed twice at a prompt that does not echo.
pub fn read(from_stdin: bool) -> Result<SecretString, Failure> {
    if from_stdin {
        return first_line(io::stdin().lock())?
            .ok_or_else(|| Failure::usage("there is no password on standard input"));
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

/// The first line of standard input, or what is typed at a prompt that does not echo: a password
/// that exists already.
pub fn existing(from_stdin: bool) -> Result<SecretString, Failure> {
    if !from_stdin && io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?.into());
    }
    read(from_stdin)
}

/// `None`: it is empty.
fn first_line(input: impl BufRead) -> io::Result<Option<SecretString>> {
    let mut line = String::new();
    input.take(MAX_LINE).read_line(&mut line)?;
    let secret = line.trim_end_matches(['\n', '\r']);
    Ok((!secret.is_empty()).then(|| secret.into()))
}
