//! `auth import-htpasswd`: users from a file that Apache, nginx or `registry:2` has used.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::Value;

use super::client::ApiPath;
use super::connection::Connection;
use super::shown::OutputFormat;
use crate::cli::Output;
use crate::failure::Failure;
use crate::output;

/// Take over users and passwords from an htpasswd file
///
/// Passwords must be hashed by bcrypt (`htpasswd -B`); they are hashed anew when their users log
/// in first. Users that exist already stay as they are. Lines that cannot be taken over are listed
/// with the reason, and the others are taken over nevertheless. Servers may be running.
#[derive(Debug, Args)]
pub struct ImportHtpasswd {
    /// The file, as `htpasswd` writes it; of at most a mebibyte
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
    /// Give users that exist already the password of the file, and end their sessions
    #[arg(long)]
    replace_passwords: bool,
    #[command(flatten)]
    format: OutputFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `auth import-htpasswd`
pub async fn run(command: ImportHtpasswd) -> Result<(), Failure> {
    let file = std::fs::read(&command.file)
        .map_err(|error| Failure::usage(format!("{}: {error}", command.file.display())))?;
    let wishes = [
        ("dry_run", command.dry_run),
        ("replace_passwords", command.replace_passwords),
    ];
    let query: Vec<_> = wishes
        .into_iter()
        .filter_map(|(name, wished)| wished.then_some((name, "true")))
        .collect();
    let path = ApiPath::new(["import", "htpasswd"]);
    let import = command
        .connection
        .with(async |api| api.post_text(&path, &query, file).await);
    let report = import.await?;
    match command.format.output {
        Output::Json => output::json(&report)?,
        Output::Table => show(&report, command.dry_run)?,
    }
    match entries(&report, "problems").len() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 line could not be taken over")),
        left => Err(Failure::failed(format!(
            "{left} lines could not be taken over"
        ))),
    }
}

fn show(report: &Value, dry_run: bool) -> Result<(), Failure> {
    let would = if dry_run { "Would have " } else { "" };
    for (what, users) in [
        ("created", "created"),
        ("replaced the password of", "replaced"),
        ("left as they are", "untouched"),
    ] {
        let names: Vec<&str> = entries(report, users)
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if !names.is_empty() {
            let sentence = format!("{would}{what}: {}", names.join(", "));
            output::line(&capitalized(&sentence))?;
        }
    }
    for problem in entries(report, "problems") {
        let name = problem["name"].as_str().unwrap_or("-");
        let reason = problem["reason"].as_str().unwrap_or_default();
        output::note(&format!("line {} ({name}): {reason}", problem["line"]))?;
    }
    Ok(())
}

/// A list in the report.
fn entries<'r>(report: &'r Value, name: &str) -> &'r [Value] {
    report[name].as_array().map_or(&[], Vec::as_slice)
}

fn capitalized(sentence: &str) -> String {
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
