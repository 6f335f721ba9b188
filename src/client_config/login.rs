//! [`Login`]: who pulls, and the file of credentials that Docker has made common.

use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueHint};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::authority;
use super::host::RegistryHost;
use crate::failure::Failure;
use crate::{output, password};

/// What tokens begin with: personal, deploy and job tokens.
const TOKEN_PREFIX: &str = "ptc_";

#[derive(Debug, Args)]
pub struct Login {
    /// The registry, as names of images begin: `registry.example.com` or `registry.example.com:5000`
    #[arg(long, value_name = "HOST")]
    pub registry: RegistryHost,
    /// The user, or the username of a deploy token
    #[arg(long, value_name = "NAME")]
    pub user: LoginName,
    /// Read the password, or the token, from standard input (its first line) instead of asking for
    /// it
    #[arg(long)]
    pub password_stdin: bool,
    /// The certificate authority of the registry (PEM), if it is none that everybody trusts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
}

/// A username that can be sent by Basic authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginName(String);

impl FromStr for LoginName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = !text.is_empty()
            && !text
                .chars()
                .any(|c| c == ':' || c.is_control() || c.is_whitespace());
        fits.then(|| Self(text.to_owned()))
            .ok_or("a username is not empty, and has no colon and no space in it")
    }
}

impl std::fmt::Display for LoginName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Login {
    /// `{"auths":{HOST:{"auth":…}}}`, with a word of warning to who puts a person's password into
    /// it.
    pub fn auths(&self) -> Result<Value, Failure> {
        if let Some(file) = &self.ca_file {
            authority::certificates(file)?;
        }
        let password = password::existing(self.password_stdin)?;
        if password.expose_secret().is_empty() {
            return Err(Failure::usage("the password is empty"));
        }
        if !password.expose_secret().starts_with(TOKEN_PREFIX) {
            output::note(&format!(
                "warning: whoever reads this can read the password of {}, base64 hides nothing. \
                 Take a token that only pulls, and can be revoked: portcullis auth deploy-token \
                 create NAME --project PATH",
                self.user
            ))?;
        }
        Ok(auths(&self.registry, &self.user, &password))
    }

    /// Where the certificate authority belongs, for who has named one.
    pub fn tell_authority(&self, folder: &str) -> Result<(), Failure> {
        if let Some(file) = &self.ca_file {
            output::note(&format!(
                "The certificate authority belongs into {folder}/{host}/ca.crt: portcullis \
                 client-config certs.d --registry {host} --ca-file {}",
                file.display(),
                host = self.registry
            ))?;
        }
        Ok(())
    }
}

fn auths(registry: &RegistryHost, user: &LoginName, password: &SecretString) -> Value {
    let pair = SecretString::from(format!("{user}:{}", password.expose_secret()));
    json!({"auths": {registry.as_str(): {"auth": STANDARD.encode(pair.expose_secret())}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_as_basic_authentication_has_them() {
        let registry = "registry.example.com:5000".parse().unwrap();
        let user = "deploy+team/app+cluster".parse().unwrap();
        let auths = auths(&registry, &user, &"ptc_a:b\u{e4}".into());
        let auth = &auths["auths"]["registry.example.com:5000"]["auth"];
        let pair = STANDARD.decode(auth.as_str().unwrap()).unwrap();
        assert_eq!(pair, "deploy+team/app+cluster:ptc_a:b\u{e4}".as_bytes());
    }

    #[test]
    fn a_name_that_would_be_split_elsewhere_is_refused() {
        for text in ["", "a:b", "a b", "a\nb", "a\0"] {
            assert!(text.parse::<LoginName>().is_err(), "{text:?}");
        }
    }
}
