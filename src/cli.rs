//! What can be typed: the commands, their options and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

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
    Auth(Auth),
    /// The registry: serve images, clean up
    #[command(subcommand, arg_required_else_help = true)]
    Registry(Registry),
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

#[derive(Debug, Subcommand)]
pub enum Auth {
    /// Serve the token realm, the published keys and the admin API
    ///
    /// Settings come from the configuration file and from the environment: `AUTH_` and the path
    /// of the setting in capitals, such as `AUTH_DATABASE_URL` or `AUTH_HTTP_ADDR`.
    Serve {
        /// Configuration file (YAML); without it, the environment alone configures the server
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
    },
    /// Manage users
    #[command(subcommand, arg_required_else_help = true)]
    User(User),
    /// Manage projects
    #[command(subcommand, arg_required_else_help = true)]
    Project(Project),
}

/// Which accounts a command works on: those of `portcullis up`, or those of a configured server.
#[derive(Debug, Args)]
pub struct Accounts {
    #[command(flatten)]
    pub data: DataFolder,

    /// Configuration file of `auth serve`, instead of the data folder of `up`
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct OutputFormat {
    /// A table for people, or JSON for scripts
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub struct NewPassword {
    /// Read the password from standard input (its first line) instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum User {
    /// Create a user, who then owns all repositories below their own name
    Create {
        /// Lower-case letters and digits, joined by `.`, `_` or `-`
        name: String,
        /// Where to reach the user
        #[arg(long, value_hint = ValueHint::EmailAddress)]
        email: Option<String>,
        /// May do everything, in every repository and in the admin API
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: NewPassword,
        #[command(flatten)]
        accounts: Accounts,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// List all users
    List {
        #[command(flatten)]
        accounts: Accounts,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Refuse all further logins and tokens of a user; nothing is deleted
    Disable {
        name: String,
        #[command(flatten)]
        accounts: Accounts,
    },
    /// Allow a disabled user in again
    Enable {
        name: String,
        #[command(flatten)]
        accounts: Accounts,
    },
    /// Set a user's password and end their sessions
    SetPassword {
        name: String,
        #[command(flatten)]
        password: NewPassword,
        #[command(flatten)]
        accounts: Accounts,
    },
}

#[derive(Debug, Subcommand)]
pub enum Project {
    /// Create a project: a path below which images live
    Create {
        /// Such as `team` or `team/app`
        path: String,
        /// Who may pull without being asked
        #[arg(long, value_enum, default_value_t = Visibility::Private)]
        visibility: Visibility,
        #[command(flatten)]
        accounts: Accounts,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// List all projects
    List {
        #[command(flatten)]
        accounts: Accounts,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Open a project to everyone, or close it
    SetVisibility {
        path: String,
        #[arg(value_enum)]
        visibility: Visibility,
        #[command(flatten)]
        accounts: Accounts,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Visibility {
    /// Only who was given a right to it knows that it exists
    Private,
    /// Anyone may pull, without logging in
    Public,
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
