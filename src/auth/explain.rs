//! `auth explain`

use clap::{ArgGroup, Args};
use serde_json::Value;
use uuid::Uuid;

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::OutputFormat;
use crate::cli::Output;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("subject").required(true).args(["user", "token", "anonymous"]),
    after_help = "For example:\n  \
        portcullis auth explain --user alice --scope repository:team/app:pull,push"
)]
pub struct Explain {
    /// What this user may do
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What this personal, deploy or job token may do, by its id
    #[arg(long, value_name = "ID")]
    token: Option<Uuid>,
    /// What anybody may do without logging in
    #[arg(long)]
    anonymous: bool,
    /// What is asked for, as clients write it: `repository:NAME:ACTION,…`
    #[arg(long, value_name = "SCOPE")]
    scope: String,
    #[command(flatten)]
    format: OutputFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `auth explain`
pub async fn run(command: Explain) -> Result<(), Failure> {
    let token = command.token.map(|id| id.to_string());
    let mut query = vec![("scope", command.scope.as_str())];
    query.extend(command.user.as_deref().map(|user| ("user", user)));
    query.extend(token.as_deref().map(|token| ("token", token)));
    query.extend(command.anonymous.then_some(("anonymous", "true")));
    let answer = command
        .connection
        .get(&ApiPath::new(["explain"]), &query)
        .await?;
    match command.format.output {
        Output::Json => output::json(&answer)?,
        Output::Table => {
            for line in sentences(&answer) {
                output::line(&line)?;
            }
        }
    }
    Ok(())
}

fn sentences(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![match &answer["project"] {
        Value::Null => "No project covers it.".to_owned(),
        project => format!(
            "It belongs to the project {} ({}).",
            text(&project["path"]),
            text(&project["visibility"])
        ),
    }];
    for action in answer["actions"].as_array().into_iter().flatten() {
        let allowed = action["allowed"].as_bool().unwrap_or_default();
        let verdict = if allowed { "allowed" } else { "denied" };
        let (name, reason) = (text(&action["action"]), text(&action["reason"]));
        lines.push(format!("{name}: {verdict}, since {reason}."));
        if let Some(needed) = action["needed"].as_str() {
            lines.push(format!("  What would help: {needed}."));
        }
    }
    lines
}
