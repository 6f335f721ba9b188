//! `auth session …`

use clap::Subcommand;
use uuid::Uuid;

use super::connection::Connection;
use super::of_user;
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("KIND", "kind"),
    ("CLIENT", "client"),
    ("ADDRESS", "address"),
    ("CREATED", "created_at"),
    ("LAST USED", "last_used_at"),
    ("EXPIRES", "expires_at"),
];

#[derive(Debug, Subcommand)]
pub enum Session {
    /// List where a user is logged in: browsers, and clients with a refresh token
    List {
        #[arg(long, value_name = "NAME", required_unless_present = "server")]
        user: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// End one session, or all of a user
    Revoke {
        /// From `auth session list`
        #[arg(required_unless_present = "all")]
        id: Option<Uuid>,
        /// All of them
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[arg(long, value_name = "NAME", required_unless_present = "server")]
        user: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
}

/// `auth session …`
pub async fn run(command: Session) -> Result<(), Failure> {
    match command {
        Session::List {
            user,
            format,
            connection,
        } => {
            let path = of_user(user.as_deref(), ["sessions"]);
            format.list(&connection.list(&path, &[]).await?, COLUMNS)
        }
        Session::Revoke {
            id,
            all: _,
            user,
            connection,
        } => {
            let id = id.map(|id| id.to_string());
            let below = std::iter::once("sessions").chain(id.as_deref());
            connection.delete(&of_user(user.as_deref(), below)).await?;
            Ok(output::line(match id {
                Some(_) => "Ended the session.",
                None => "Ended all sessions.",
            })?)
        }
    }
}
