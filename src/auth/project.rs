//! `auth project …`

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::{Column, OutputFormat};
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("PATH", "path"),
    ("VISIBILITY", "visibility"),
    ("CREATED", "created_at"),
];

#[derive(Debug, Subcommand)]
pub enum Project {
    /// Create a project: a path at and below which images live
    Create {
        /// Such as `team/app`, where `team` is a group or a user; administrators may create one
        /// that is in neither, such as `app`
        path: String,
        /// Who may pull without being asked
        #[arg(long, value_enum, default_value_t = Visibility::Private)]
        visibility: Visibility,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// List projects
    List {
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one project
    Show {
        path: String,
        #[command(flatten)]
        format: OutputFormat,
        #[command(flatten)]
        connection: Connection,
    },
    /// Open a project to everyone or to all users, or close it
    SetVisibility {
        path: String,
        #[arg(value_enum)]
        visibility: Visibility,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a project, with its members, grants and tokens; the images stay in the registry
    Delete {
        path: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Only who was given a right to it knows that it exists
    Private,
    /// Every user who has logged in may pull
    Internal,
    /// Anyone may pull, without logging in
    Public,
}

/// `auth project …`
pub async fn run(command: Project) -> Result<(), Failure> {
    match command {
        Project::Create {
            path,
            visibility,
            format,
            connection,
        } => {
            let new = json!({"path": path, "visibility": visibility});
            let created = connection.post(&ApiPath::new(["projects"]), &new).await?;
            format.done(&created, &format!("Created the project {path}."))
        }
        Project::List { format, connection } => {
            let projects = connection.list(&ApiPath::new(["projects"]), &[]).await?;
            format.list(&projects, COLUMNS)
        }
        Project::Show {
            path,
            format,
            connection,
        } => format.record(&connection.get(&project(&path), &[]).await?, COLUMNS),
        Project::SetVisibility {
            path,
            visibility,
            connection,
        } => {
            let change = json!({"visibility": visibility});
            let changed = connection.patch(&project(&path), &change).await?;
            let visibility = changed["visibility"].as_str().unwrap_or_default();
            Ok(output::line(&format!(
                "The project {path} is {visibility} now."
            ))?)
        }
        Project::Delete { path, connection } => {
            connection.delete(&project(&path)).await?;
            Ok(output::line(&format!("Deleted the project {path}."))?)
        }
    }
}

fn project(path: &str) -> ApiPath {
    ApiPath::new(["projects", path])
}
