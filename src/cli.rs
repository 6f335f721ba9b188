//! What can be typed: the commands, their options and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::auth::{Auth, OutputFormat};
use crate::client_config::ClientConfig;
use crate::doctor::Doctor;
use crate::setup::Setup;

/// Version and commit, for `--version`.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PORTCULLIS_COMMIT"),
    ")"
);

/// A container registry with its own gatekeeper.
///
/// `portcullis up` serves everything on one address: the registry, the token realm that
/// `docker login` talks to, and the admin API. The two servers also run apart, with
/// `portcullis auth serve` and `portcullis registry serve`.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version = VERSION,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Try it:\n  \
        portcullis up\n  \
        docker login localhost:5000 -u admin\n  \
        docker tag hello-world localhost:5000/admin/hello:1\n  \
        docker push localhost:5000/admin/hello:1\n\n\
        Exit codes: 0 success, 1 failure, 2 wrong usage or configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(Up),
    /// The gatekeeper: serve tokens, manage users and projects
    #[command(subcommand, arg_required_else_help = true)]
    Auth(Box<Auth>),
    /// The registry: serve images, clean up
    #[command(subcommand, arg_required_else_help = true)]
    Registry(Registry),
    Doctor(Box<Doctor>),
    Setup(Setup),
    /// Ask a server on this machine whether it is ready; for containers, which have nothing else
    /// to ask with
    Healthcheck {
        /// What to ask; without it, `/readyz` of the registry that the configuration file at its
        /// usual place and `REGISTRY_` variables describe
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        url: Option<reqwest::Url>,
    },
    /// Print the configuration of a client: credentials, pull secrets, certificate authorities
    ///
    /// What belongs into the file goes to standard output, where to put it to standard error.
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "For example:\n  \
            portcullis client-config docker-auth-config --registry registry.example.com \\\n      \
            --user deploy+team/app+ci --password-stdin < token\n  \
            portcullis client-config certs.d --registry registry.example.com --ca-file ca.crt"
    )]
    ClientConfig(ClientConfig),
    /// Print a completion script for a shell
    ///
    /// For example: `portcullis completions bash > /etc/bash_completion.d/portcullis`
    Completions {
        /// The shell to complete in
        shell: Shell,
    },
}

/// Serve everything on one address, with `SQLite` and a folder: no configuration needed
///
/// The first start generates a signing key and its certificate, creates the user `admin` and
/// prints its password once. Later starts change nothing. All data lives in the data folder.
///
/// Every setting of both servers can be overridden by environment, for example
/// `AUTH_TOKEN_LIFETIME=10m` or `REGISTRY_LOG_LEVEL=debug`.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub data: DataFolder,

    /// Address to listen on; `localhost:5000` is reachable from this machine alone, `:5000` from
    /// everywhere (put a proxy with TLS in front)
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:5000")]
    pub listen: String,
}

#[derive(Debug, Args)]
pub struct DataFolder {
    /// The folder of databases, keys and blobs
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTCULLIS_DATA_DIR",
        default_value = "portcullis-data",
        value_hint = ValueHint::DirPath
    )]
    pub data_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Registry {
    /// Serve images
    ///
    /// The configuration file has distribution's format (the config.yml of `registry:2`), and
    /// `REGISTRY_` variables override it. Without FILE, `/etc/distribution/config.yml` and
    /// `/etc/docker/registry/config.yml` are tried.
    Serve {
        #[arg(value_name = "CONFIG", value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
    },
    /// Remove what interrupted pushes left behind: idle uploads and files that no record knows
    ///
    /// The server ends idle uploads by itself (`storage.maintenance.uploadpurging`); files that no
    /// record knows are removed by this command alone. Servers may be running.
    Sweep {
        /// Configuration file of `registry serve`; without it, the data folder of `up` is swept
        #[arg(value_name = "CONFIG", value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
        #[command(flatten)]
        data: DataFolder,
        /// Remove what nobody has touched for this long, such as `30m`; without it, uploads have the
        /// time that the configuration gives them, and other leftovers an hour
        ///
        /// A push that is under way and stands still for longer is cut off.
        #[arg(long, value_name = "DURATION")]
        older_than: Option<service::config::Duration>,
        /// Only tell what would be removed
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        format: OutputFormat,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
