//! `auth member …`

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::connection::Connection;
use super::place::{Expiry, Owner as _, Place};
use super::shown::{Column, OutputFormat};
use crate::cli::Output;
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("USER", "username"),
    ("ROLE", "role"),
    ("OF", "path"),
    ("EXPIRES", "expires_at"),
];

#[derive(Debug, Subcommand)]
pub enum Member {
    /// List who belongs to a group or project
    List {
        #[command(flatten)]
        place: Place,
        /// Also those who belong to a group above
        #[arg(long)]
        inherited: bool,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give a user a role in a group or project, or another one than before
    Set {
        user: String,
        #[arg(value_enum)]
        role: Role,
        #[command(flatten)]
        place: Place,
        /// A lifetime such as 30d, or a time such as 2030-01-31T00:00:00Z
        #[arg(long, value_name = "WHEN")]
        expires: Option<Expiry>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Take a user's role in a group or project away
    Remove {
        user: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Knows that the project exists
    Guest,
    /// Pulls
    Reporter,
    /// Pulls and pushes
    Developer,
    /// Deletes, too, and manages settings, grants and deploy tokens
    Maintainer,
    /// Manages members, too, and deletes the project or group
    Owner,
}

/// `auth member …`
pub async fn run(command: Member) -> Result<(), Failure> {
    match command {
        Member::List {
            place,
            inherited,
            format,
            connection,
        } => {
            let query = [("inherited", if inherited { "true" } else { "false" })];
            let members = connection.list(&place.api(["members"]), &query).await?;
            match format.output {
                Output::Json => format.list(&members, COLUMNS),
                Output::Table => format.list(&memberships(&members), COLUMNS),
            }
        }
        Member::Set {
            user,
            role,
            place,
            expires,
            format,
            connection,
        } => {
            let body = json!({"role": role, "expires_at": expires.as_ref().map(Expiry::as_str)});
            let set = connection
                .put(&place.api(["members", &user]), &body)
                .await?;
            let role = set["role"].as_str().unwrap_or_default();
            format.done(&set, &format!("{user} is {role} of {} now.", place.path()))
        }
        Member::Remove {
            user,
            place,
            connection,
        } => {
            connection.delete(&place.api(["members", &user])).await?;
            let sentence = format!("{user} is no member of {} any more.", place.path());
            Ok(output::line(&sentence)?)
        }
    }
}

/// One by one: a member may be so in several groups.
fn memberships(members: &[Value]) -> Vec<Value> {
    let of = |member: &Value| member["memberships"].as_array().cloned();
    members.iter().filter_map(of).flatten().collect()
}
