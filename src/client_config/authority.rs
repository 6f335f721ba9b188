//! [`WithAuthority`]: a registry, and who has signed its certificate.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use registry_token::Certificate;

use super::host::RegistryHost;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct WithAuthority {
    /// The registry, as names of images begin: `registry.example.com` or `registry.example.com:5000`
    #[arg(long, value_name = "HOST")]
    pub registry: RegistryHost,
    /// The certificate authority of the registry (PEM), if it is none that everybody trusts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
}

impl WithAuthority {
    /// What is in the file, if one was named.
    pub fn certificates(&self) -> Result<Option<String>, Failure> {
        self.ca_file.as_deref().map(certificates).transpose()
    }
}

/// The certificates in a file, and nothing else that is in it. A private key is refused: it would be
/// on every node.
pub fn certificates(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let pem = std::fs::read(file).map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    let found = Certificate::bundle_from_pem(&pem)
        .map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    Ok(found.iter().map(Certificate::to_pem).collect())
}
