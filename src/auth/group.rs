//! `auth group …`

use clap::{ArgAction, Subcommand};
use serde_json::json;

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("PATH", "path"),
    ("CREATES ON PUSH", "create_on_push"),
    ("CREATED", "created_at"),
];

#[derive(Debug, Subcommand)]
pub enum Group {
    /// Create a group; to nest it, create the group before the last `/` first
    Create {
        /// Such as `platform` or `platform/backend`
        path: String,
        /// Let a push by a developer create the project that it goes to
        #[arg(long)]
        create_on_push: bool,
        /// Who owns it; with --server you do, unless somebody else is named
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// List groups
    List {
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one group
    Show {
        path: String,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Change whether a push creates projects
    Update {
        path: String,
        #[arg(long, value_name = "true|false", action = ArgAction::Set)]
        create_on_push: bool,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a group that has no subgroups and no projects
    Delete {
        path: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// `auth group …`
pub async fn run(command: Group) -> Result<(), Failure> {
    match command {
        Group::Create {
            path,
            create_on_push,
            owner,
            format,
            connection,
        } => {
            let new = json!({"path": path, "create_on_push": create_on_push, "owner": owner});
            let created = connection.post(&ApiPath::new(["groups"]), &new).await?;
            format.done(&created, &format!("Created the group {path}."))
        }
        Group::List { format, connection } => {
            let groups = connection.list(&ApiPath::new(["groups"]), &[]).await?;
            format.list(&groups, COLUMNS)
        }
        Group::Show {
            path,
            format,
            connection,
        } => format.record(&connection.get(&group(&path), &[]).await?, COLUMNS),
        Group::Update {
            path,
            create_on_push,
            format,
            connection,
        } => {
            let change = json!({"create_on_push": create_on_push});
            let changed = connection.patch(&group(&path), &change).await?;
            format.done(&changed, &format!("Changed the group {path}."))
        }
        Group::Delete { path, connection } => {
            connection.delete(&group(&path)).await?;
            Ok(output::line(&format!("Deleted the group {path}."))?)
        }
    }
}

fn group(path: &str) -> ApiPath {
    ApiPath::new(["groups", path])
}
