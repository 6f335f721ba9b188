//! `auth import-htpasswd`: users from a file that Apache, nginx or `registry:2` has used.
//!
//! On the database alone: the admin API takes passwords, never hashes that somebody else has made.

use std::path::PathBuf;

use auth_server::accounts::Username;
use auth_server::accounts::htpasswd::{self, Htpasswd, ImportOptions, ImportReport};
use auth_server::audit::{Actor, Origin};
use auth_server::clock::Clock;
use auth_server::context::Context;
use clap::{Args, ValueHint};

use super::connection;
use super::shown::OutputFormat;
use crate::cli::{DataFolder, Output};
use crate::failure::Failure;
use crate::output;

/// Take over users and passwords from an htpasswd file
///
/// Passwords must be hashed by bcrypt (`htpasswd -B`); they are hashed anew when their users log
/// in first. Users that exist already stay as they are. Lines that cannot be taken over are listed
/// with the reason, and the others are taken over nevertheless. Servers may be running.
#[derive(Debug, Args)]
pub struct ImportHtpasswd {
    /// The file, as `htpasswd` writes it
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
    data: DataFolder,
    /// Configuration file of `auth serve`, instead of the data folder of `up`
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

pub async fn run(command: ImportHtpasswd) -> Result<(), Failure> {
    let bytes = std::fs::read(&command.file)
        .map_err(|error| Failure::usage(format!("{}: {error}", command.file.display())))?;
    let settings = connection::settings(command.config.as_deref(), &command.data.data_dir)?;
    let database = auth_server::open_database(&settings).await?;
    let context = Context {
        database: database.clone(),
        clock: Clock::system(),
        origin: Origin::local(Actor::operator(&connection::operating_user())),
    };
    let options = ImportOptions {
        dry_run: command.dry_run,
        replace_passwords: command.replace_passwords,
    };
    let report = htpasswd::import(&context, Htpasswd::parse(&bytes), options).await;
    database.close().await;
    let report = report?;
    match command.format.output {
        Output::Json => output::json(&report)?,
        Output::Table => show(&report, command.dry_run)?,
    }
    if report.problems.is_empty() {
        Ok(())
    } else {
        let left = report.problems.len();
        Err(Failure::failed(format!(
            "{left} {} could not be taken over",
            if left == 1 { "line" } else { "lines" }
        )))
    }
}

fn show(report: &ImportReport, dry_run: bool) -> Result<(), Failure> {
    let would = if dry_run { "Would have " } else { "" };
    for (what, users) in [
        ("created", &report.created),
        ("replaced the password of", &report.replaced),
        ("left as they are", &report.untouched),
    ] {
        if !users.is_empty() {
            let names: Vec<&str> = users.iter().map(Username::as_str).collect();
            let sentence = format!("{would}{what}: {}", names.join(", "));
            output::line(&capitalized(&sentence))?;
        }
    }
    for problem in &report.problems {
        let name = problem.name.as_deref().unwrap_or("-");
        output::note(&format!(
            "line {} ({name}): {}",
            problem.line, problem.reason
        ))?;
    }
    Ok(())
}

fn capitalized(sentence: &str) -> String {
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
