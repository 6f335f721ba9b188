//! `auth audit`

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::{ApiPath, Client};
use super::connection::Connection;
use super::place::Past;
use super::shown::{Column, OutputFormat};
use crate::cli;
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("TIME", "at"),
    ("WHO", "actor/name"),
    ("FROM", "address"),
    ("ACTION", "action"),
    ("OF", "subject/name"),
    ("OUTCOME", "outcome"),
    ("REASON", "reason"),
];

/// Between two looks at what is new.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);

/// Search, follow and export the audit log
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    portcullis auth audit --action user --since 24h\n  \
    portcullis auth audit --outcome failure --actor alice\n  \
    portcullis auth audit --since 30d --output jsonl > audit.jsonl\n  \
    portcullis auth audit --follow")]
pub struct Audit {
    /// What was done: `user.create`, or `user` for all that is done to users
    #[arg(long)]
    action: Option<String>,
    /// Who did it
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// What it was done to
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// How it ended
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    address: Option<std::net::IpAddr>,
    /// From then on: how long ago, such as 24h or 7d, or a time
    #[arg(long, value_name = "WHEN")]
    since: Option<Past>,
    /// Before then
    #[arg(long, value_name = "WHEN")]
    until: Option<Past>,
    /// At most so many, the newest; `jsonl` has all
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on with what happens from now on, as JSON lines
    #[arg(long, conflicts_with_all = ["since", "until", "limit"])]
    follow: bool,
    /// A table for people; JSON, or JSON lines of everything (the oldest first), for programs
    #[arg(long, short, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Success,
    Failure,
}

/// `auth audit`
pub async fn run(command: Audit) -> Result<(), Failure> {
    let address = command.address.map(|address| address.to_string());
    let outcome = command.outcome.map(|outcome| match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
    });
    let filters = [
        ("action", command.action.as_deref()),
        ("actor", command.actor.as_deref()),
        ("subject", command.subject.as_deref()),
        ("outcome", outcome),
        ("address", address.as_deref()),
        ("since", command.since.as_ref().map(Past::as_str)),
        ("until", command.until.as_ref().map(Past::as_str)),
    ];
    let filters: Vec<(&str, &str)> = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let connection = &command.connection;
    if command.follow {
        return connection
            .with(async |api| follow(&api, &filters).await)
            .await;
    }
    let output = match command.output {
        Form::Jsonl => {
            let export = async |api: Client| export(&api, &filters).await;
            return connection.with(export).await;
        }
        Form::Json => cli::Output::Json,
        Form::Table => cli::Output::Table,
    };
    let limit = command.limit.to_string();
    let query = [&[("limit", limit.as_str())], filters.as_slice()].concat();
    let events = connection.get(&ApiPath::new(["audit"]), &query).await?;
    let events = events.as_array().cloned().unwrap_or_default();
    OutputFormat { output }.list(&events, COLUMNS)
}

/// Everything, as it comes.
async fn export(api: &Client, query: &[(&str, &str)]) -> Result<(), Failure> {
    let path = ApiPath::new(["audit", "export"]);
    let mut answer = api.stream(&path, query).await?;
    while let Some(piece) = answer.chunk().await? {
        output::bytes(&piece)?;
    }
    Ok(())
}

/// Never ends by itself.
async fn follow(api: &Client, filters: &[(&str, &str)]) -> Result<(), Failure> {
    let newest = api.get(&ApiPath::new(["audit"]), &[("limit", "1")]).await?;
    let mut last = newest[0]["number"].as_i64().unwrap_or(0);
    loop {
        let after = last.to_string();
        let mut query = filters.to_vec();
        if last > 0 {
            query.push(("after", &after));
        }
        let path = ApiPath::new(["audit", "export"]);
        let mut answer = api.stream(&path, &query).await?;
        let mut begun = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            output::bytes(&piece)?;
            begun.extend_from_slice(&piece);
            // Whole lines are done with.
            while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = begun.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)?;
                last = event["number"].as_i64().unwrap_or(last);
            }
        }
        std::io::stdout().flush()?;
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}
