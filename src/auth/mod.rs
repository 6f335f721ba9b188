//! `auth …`: the accounts, through the admin API.
//!
//! - [`connection`]: which accounts, and how to reach them. [`client`]: the caller of the API.
//! - [`shown`]: what is printed. [`place`]: what several commands have in common.
//! - One file for each noun.

mod audit;
mod client;
mod connection;
mod explain;
mod grant;
mod group;
mod htpasswd;
mod key;
mod member;
mod place;
mod project;
mod session;
mod shown;
mod system;
mod token;
mod user;

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

use self::client::ApiPath;
pub use self::shown::OutputFormat;
use crate::failure::Failure;
use crate::serve;

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
    User(user::User),
    /// Manage groups, in which projects live
    #[command(subcommand, arg_required_else_help = true)]
    Group(group::Group),
    /// Manage projects
    #[command(subcommand, arg_required_else_help = true)]
    Project(project::Project),
    /// Manage who belongs to groups and projects, and in which role
    #[command(subcommand, arg_required_else_help = true)]
    Member(member::Member),
    /// Manage rights beside roles: on some repositories, for a while
    #[command(subcommand, arg_required_else_help = true)]
    Grant(grant::Grant),
    /// Manage personal access tokens
    #[command(subcommand, arg_required_else_help = true)]
    Token(token::PersonalToken),
    /// Manage deploy tokens of groups and projects
    #[command(subcommand, arg_required_else_help = true)]
    DeployToken(token::PathToken<place::Place>),
    /// Manage job tokens: deploy tokens for one pipeline run
    #[command(subcommand, arg_required_else_help = true)]
    JobToken(token::PathToken<place::InProject>),
    /// Manage the keys that sign tokens
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::Key),
    /// Search, follow and export the audit log
    Audit(audit::Audit),
    /// See and end sessions
    #[command(subcommand, arg_required_else_help = true)]
    Session(session::Session),
    /// Tell what somebody may do, and why
    Explain(explain::Explain),
    /// Tell who the token of --server belongs to
    Me(system::Show),
    /// Tell what runs, how it is set, and how much there is of everything
    System(system::Show),
    ImportHtpasswd(htpasswd::ImportHtpasswd),
}

/// `auth …`
pub async fn run(command: Auth) -> Result<(), Failure> {
    match command {
        Auth::Serve { config } => serve::auth(config.as_deref()).await,
        Auth::User(command) => user::run(command).await,
        Auth::Group(command) => group::run(command).await,
        Auth::Project(command) => project::run(command).await,
        Auth::Member(command) => member::run(command).await,
        Auth::Grant(command) => grant::run(command).await,
        Auth::Token(command) => token::personal(command).await,
        Auth::DeployToken(command) => token::deploy(command).await,
        Auth::JobToken(command) => token::job(command).await,
        Auth::Key(command) => key::run(command).await,
        Auth::Audit(command) => audit::run(command).await,
        Auth::Session(command) => session::run(command).await,
        Auth::Explain(command) => explain::run(command).await,
        Auth::Me(command) => system::me(command).await,
        Auth::System(command) => system::system(command).await,
        Auth::ImportHtpasswd(command) => htpasswd::run(command).await,
    }
}

/// The address of what belongs to a user, or to whoever asks.
fn of_user<'s>(user: Option<&'s str>, below: impl IntoIterator<Item = &'s str>) -> ApiPath {
    let owner = match user {
        Some(user) => vec!["users", user],
        None => vec!["me"],
    };
    ApiPath::new(owner.into_iter().chain(below))
}
