//! `auth token …`: personal tokens. `auth deploy-token …` and `auth job-token …`: those of groups
//! and projects.

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::connection::Connection;
use super::place::{Expiry, InProject, Owner, Place};
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;
use crate::output;

const PERSONAL_COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("SCOPES", "scopes"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("FROM", "last_used_address"),
    ("REVOKED", "revoked_at"),
];

const PATH_COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("USERNAME", "username"),
    ("ACTIONS", "actions"),
    ("REPOSITORIES", "pattern"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("FROM", "last_used_address"),
    ("REVOKED", "revoked_at"),
];

#[derive(Debug, Subcommand)]
pub enum PersonalToken {
    /// Create a token that stands in for a user's password; prints it once
    #[command(
        after_help = "For example, a token for a script that manages accounts:\n  \
        portcullis auth token create automation --user admin --scope api --expires 90d"
    )]
    Create {
        /// What to call it
        name: String,
        /// Whose token; with --server, your own unless somebody else is named
        #[arg(long, value_name = "NAME", required_unless_present = "server")]
        user: Option<String>,
        /// What it may be used for; may be repeated
        #[arg(long = "scope", value_enum, required = true)]
        scopes: Vec<Scope>,
        /// A lifetime such as 30d, or a time such as 2030-01-31T00:00:00Z
        #[arg(long, value_name = "WHEN")]
        expires: Option<Expiry>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// List a user's tokens
    List {
        #[arg(long, value_name = "NAME", required_unless_present = "server")]
        user: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke a token: whatever shows it is refused from now on
    Revoke {
        /// From `auth token list`
        id: Uuid,
        #[arg(long, value_name = "NAME", required_unless_present = "server")]
        user: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Pull whatever the user may pull
    ReadRegistry,
    /// Pull and push
    WriteRegistry,
    /// Pull and delete
    DeleteRegistry,
    /// Everything in the admin API
    Api,
    /// Reading in the admin API
    ReadApi,
}

/// Deploy tokens and job tokens differ in what they belong to, and in how long they last.
#[derive(Debug, Subcommand)]
pub enum PathToken<O: Owner> {
    /// Create a token with a username and rights of its own; prints it once
    Create {
        /// What to call it
        name: String,
        #[command(flatten)]
        owner: O,
        /// What it may do: pull, push, delete
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "pull",
            value_name = "ACTION,…"
        )]
        actions: Vec<String>,
        /// Only these repositories: `*` stands for any part of a name up to a slash, `**` for
        /// anything
        #[arg(long, value_name = "GLOB")]
        pattern: Option<String>,
        /// A lifetime such as 30d, or a time such as 2030-01-31T00:00:00Z
        #[arg(long, value_name = "WHEN")]
        expires: Option<Expiry>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// List tokens
    List {
        #[command(flatten)]
        owner: O,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke a token: whatever shows it is refused from now on
    Revoke {
        /// From the list
        id: Uuid,
        #[command(flatten)]
        owner: O,
        #[command(flatten)]
        connection: Connection,
    },
}

/// `auth token …`
pub async fn personal(command: PersonalToken) -> Result<(), Failure> {
    match command {
        PersonalToken::Create {
            name,
            user,
            scopes,
            expires,
            format,
            connection,
        } => {
            let new = json!({
                "name": name,
                "scopes": scopes,
                "expires_at": expires.as_ref().map(Expiry::as_str),
            });
            let path = super::of_user(user.as_deref(), ["tokens"]);
            let created = connection.post(&path, &new).await?;
            format.secret(&created, &format!("Created the token {name}."))
        }
        PersonalToken::List {
            user,
            format,
            connection,
        } => {
            let path = super::of_user(user.as_deref(), ["tokens"]);
            format.list(&connection.list(&path, &[]).await?, PERSONAL_COLUMNS)
        }
        PersonalToken::Revoke {
            id,
            user,
            connection,
        } => {
            let id = id.to_string();
            let path = super::of_user(user.as_deref(), ["tokens", &id]);
            connection.delete(&path).await?;
            Ok(output::line(&format!("Revoked the token {id}."))?)
        }
    }
}

/// `auth deploy-token …`
pub async fn deploy(command: PathToken<Place>) -> Result<(), Failure> {
    of_path("deploy-tokens", command).await
}

/// `auth job-token …`
pub async fn job(command: PathToken<InProject>) -> Result<(), Failure> {
    of_path("job-tokens", command).await
}

async fn of_path<O: Owner>(kind: &str, command: PathToken<O>) -> Result<(), Failure> {
    match command {
        PathToken::Create {
            name,
            owner,
            actions,
            pattern,
            expires,
            format,
            connection,
        } => {
            let new = json!({
                "name": name,
                "actions": actions,
                "pattern": pattern,
                "expires_at": expires.as_ref().map(Expiry::as_str),
            });
            let created = connection.post(&owner.api([kind]), &new).await?;
            format.secret(&created, &format!("Created the token {name}."))
        }
        PathToken::List {
            owner,
            format,
            connection,
        } => {
            let tokens = connection.list(&owner.api([kind]), &[]).await?;
            format.list(&tokens, PATH_COLUMNS)
        }
        PathToken::Revoke {
            id,
            owner,
            connection,
        } => {
            let id = id.to_string();
            connection.delete(&owner.api([kind, &id])).await?;
            Ok(output::line(&format!("Revoked the token {id}."))?)
        }
    }
}
