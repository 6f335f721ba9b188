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
    /// Remove what interrupted pushes left behind: idle uploads, and blobs that no repository shows
    ///
    /// Servers do the same by themselves, every day (`storage.maintenance.uploadpurging`); they may be
    /// running. Blobs in the storage that the database has never heard of are not removed, but set aside,
    /// where they are found again if the database turns out to know them after all; those that were set aside
    /// long ago (`storage.maintenance.setaside.age`) are removed.
    ///
    /// With a database that does not belong to the storage, or an older copy of it, nothing is removed.
    Sweep {
        #[command(flatten)]
        place: RegistryPlace,
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
    /// Have a storage and a database go together that have not before, or no longer
    ///
    /// A storage and its database know each other by an id, and by a counter that grows while images are pushed.
    /// So a database that is another one's, or an older copy, is noticed before it takes images for leftovers:
    /// the registry does not start with the former, and removes nothing with the latter. If it is right all the
    /// same, after a restored backup for example, this command says so: both get a new id, and their former
    /// partners are refused from then on.
    ///
    /// Nothing is removed. Blobs that the database does not know are set aside by a sweep, a day later at the
    /// earliest, and removed after another while (`storage.maintenance.setaside.age`).
    AdoptStorage {
        #[command(flatten)]
        place: RegistryPlace,
        #[command(flatten)]
        format: OutputFormat,
    },
}

/// Where a registry is, for commands on the machine that it runs on.
#[derive(Debug, Args)]
pub struct RegistryPlace {
    /// Configuration file of `registry serve`; without it, the data folder of `up`
    #[arg(value_name = "CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataFolder,
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
