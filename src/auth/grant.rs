//! `auth grant …`

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::ApiPath;
use super::connection::Connection;
use super::place::Expiry;
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("TO", "to/kind"),
    ("NAME", "to/name"),
    ("ACTIONS", "actions"),
    ("REPOSITORIES", "pattern"),
    ("EXPIRES", "expires_at"),
];

#[derive(Debug, Subcommand)]
pub enum Grant {
    /// List the rights given in a project beside the roles of its members
    List {
        project: String,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give a user, a group or a deploy token rights on repositories of a project
    #[command(
        after_help = "For example, let bob push what is below team/app/cache for a month:\n  \
        portcullis auth grant create team/app --user bob --actions pull,push \\\n    \
        --pattern 'team/app/cache/**' --expires 30d"
    )]
    Create {
        project: String,
        #[command(flatten)]
        receiver: Receiver,
        /// What may be done: pull, push, delete
        #[arg(long, value_delimiter = ',', required = true, value_name = "ACTION,…")]
        actions: Vec<String>,
        /// Repositories: `*` stands for any part of a name up to a slash, `**` for anything.
        /// Without it, all of the project
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
    /// Change what a grant gives, where, or until when
    Update {
        project: String,
        /// From `auth grant list`
        id: Uuid,
        /// What may be done: pull, push, delete
        #[arg(long, value_delimiter = ',', value_name = "ACTION,…")]
        actions: Option<Vec<String>>,
        /// Repositories, as with `create`
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
    /// Take rights away again
    Delete {
        project: String,
        /// From `auth grant list`
        id: Uuid,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Who gets the rights.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Receiver {
    /// A user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All members of a group, and of the groups above it
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// A deploy or job token, by its id
    #[arg(long, value_name = "ID")]
    token: Option<Uuid>,
}

/// `auth grant …`
pub async fn run(command: Grant) -> Result<(), Failure> {
    match command {
        Grant::List {
            project,
            format,
            connection,
        } => {
            let path = ApiPath::new(["projects", &project, "grants"]);
            format.list(&connection.list(&path, &[]).await?, COLUMNS)
        }
        Grant::Create {
            project,
            receiver,
            actions,
            pattern,
            expires,
            format,
            connection,
        } => {
            let new = json!({
                "user": receiver.user,
                "group": receiver.group,
                "token": receiver.token,
                "actions": actions,
                "pattern": pattern,
                "expires_at": expires.as_ref().map(Expiry::as_str),
            });
            let path = ApiPath::new(["projects", &project, "grants"]);
            let created = connection.post(&path, &new).await?;
            let id = created["id"].as_str().unwrap_or_default();
            format.done(&created, &format!("Created the grant {id}."))
        }
        Grant::Update {
            project,
            id,
            actions,
            pattern,
            expires,
            format,
            connection,
        } => {
            let expires = expires.as_ref().map(Expiry::as_str);
            let change: Map<String, Value> = [
                ("actions", json!(actions)),
                ("pattern", json!(pattern)),
                ("expires_at", json!(expires)),
            ]
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
            if change.is_empty() {
                return Err(Failure::usage(
                    "nothing to change: add --actions, --pattern or --expires",
                ));
            }
            let id = id.to_string();
            let path = ApiPath::new(["projects", &project, "grants", &id]);
            let changed = connection.patch(&path, &Value::Object(change)).await?;
            format.done(&changed, &format!("Changed the grant {id}."))
        }
        Grant::Delete {
            project,
            id,
            connection,
        } => {
            let id = id.to_string();
            let path = ApiPath::new(["projects", &project, "grants", &id]);
            connection.delete(&path).await?;
            Ok(output::line(&format!("Deleted the grant {id}."))?)
        }
    }
}
