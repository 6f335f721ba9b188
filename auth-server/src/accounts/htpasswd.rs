//! Taking over users from an htpasswd file, as Apache, nginx and `registry:2` read it.
//!
//! Only bcrypt (`htpasswd -B`) is taken over: the other forms are broken within minutes, and are
//! reported line by line, with the way out. Such a hash is replaced when its user logs in first.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::password::PasswordHash;
use super::user::{self, NewUser, UserError};
use super::{InvalidUsername, Username};
use crate::context::Context;
use crate::store;

/// Of a hash that is taken over: a single one of a higher cost would keep a processor busy for
/// seconds, whenever somebody tries a password.
const MAX_COST: u32 = 15;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Htpasswd {
    entries: Vec<Entry>,
    /// In which line each name stands.
    lines: HashMap<Username, usize>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Entry {
    line: usize,
    username: Username,
    hash: PasswordHash,
}

/// A line that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HtpasswdProblem)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// What stands before the colon; a line without one may be a password.
    pub name: Option<String>,
    /// Why, and what to do.
    pub reason: String,
}

/// What to do with a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Tells what would be done, and does nothing.
    pub dry_run: bool,
    /// Gives users that exist the password of the file, which ends their sessions.
    pub replace_passwords: bool,
}

/// What was done with a file, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HtpasswdReport)]
pub struct ImportReport {
    #[schema(value_type = Vec<String>)]
    pub created: Vec<Username>,
    /// Existed, and have the password of the file now.
    #[schema(value_type = Vec<String>)]
    pub replaced: Vec<Username>,
    /// Existed, and are as they were.
    #[schema(value_type = Vec<String>)]
    pub untouched: Vec<Username>,
    /// What is not taken over, by line.
    pub problems: Vec<Problem>,
}

/// Why a hash is not taken over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("this is not name:hash, as `htpasswd -B` writes it")]
    NoColon,
    #[error("the line is not UTF-8; write the name in lower-case letters and digits")]
    NotUtf8,
    #[error("{reason}{hint}")]
    Name {
        reason: InvalidUsername,
        hint: String,
    },
    #[error("the name stands in line {0} already, which counts")]
    Twice(usize),
    #[error(
        "the password is hashed with {0}, which is broken easily: set it anew with \
         `htpasswd -B FILE NAME`, or create the user and let them set it"
    )]
    Form(&'static str),
    #[error("the bcrypt hash is damaged: set the password anew with `htpasswd -B FILE NAME`")]
    Damaged,
    #[error(
        "the bcrypt hash has the cost {0}: checking it would take too long. Set the password anew \
         with a cost of {MAX_COST} at most, `htpasswd -B -C 10 FILE NAME`"
    )]
    Cost(u32),
}

impl Htpasswd {
    /// Reads a file; what cannot be taken over is noted by line.
    #[must_use]
    pub fn parse(content: &[u8]) -> Self {
        let mut file = Self::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let (number, line) = (index + 1, line.trim_ascii());
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match file.entry(number, line) {
                Ok(entry) => {
                    file.lines.insert(entry.username.clone(), number);
                    file.entries.push(entry);
                }
                Err(reason) => file.problems.push(Problem {
                    line: number,
                    name: shown_name(line),
                    reason: reason.to_string(),
                }),
            }
        }
        file
    }

    fn entry(&self, number: usize, line: &[u8]) -> Result<Entry, Refused> {
        let line = std::str::from_utf8(line).map_err(|_| Refused::NotUtf8)?;
        let (name, rest) = line.split_once(':').ok_or(Refused::NoColon)?;
        let username: Username = name.parse().map_err(|reason| Refused::Name {
            reason,
            hint: hint(name),
        })?;
        if let Some(first) = self.lines.get(&username) {
            return Err(Refused::Twice(*first));
        }
        // Apache ignores what follows a further colon.
        let hash = rest.split(':').next().unwrap_or_default();
        Ok(Entry {
            line: number,
            username,
            hash: checked_hash(hash)?,
        })
    }
}

fn checked_hash(hash: &str) -> Result<PasswordHash, Refused> {
    let form = match hash {
        _ if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| hash.starts_with(prefix)) =>
        {
            let parts: bcrypt::HashParts = hash.parse().map_err(|_| Refused::Damaged)?;
            return match parts.get_cost() {
                4..=MAX_COST => Ok(PasswordHash::bcrypt(&parts)),
                0..=3 => Err(Refused::Damaged),
                cost => Err(Refused::Cost(cost)),
            };
        }
        _ if hash.starts_with("$2x$") => "a faulty version of bcrypt ($2x$)",
        _ if hash.starts_with("$apr1$") || hash.starts_with("$1$") => "MD5",
        _ if hash.starts_with("{SHA}") => "SHA-1",
        _ if hash.starts_with("$5$") || hash.starts_with("$6$") => "SHA-2 (crypt)",
        _ => "crypt, or not at all",
    };
    Err(Refused::Form(form))
}

/// A name that would do, if it is only the case that does not.
fn hint(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower != name && lower.parse::<Username>().is_ok() {
        format!("; `{lower}` would do")
    } else {
        String::new()
    }
}

fn shown_name(line: &[u8]) -> Option<String> {
    const LENGTH: usize = 64;
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8_lossy(&line[..colon]);
    Some(
        name.chars()
            .filter(|c| !c.is_control())
            .take(LENGTH)
            .collect(),
    )
}

/// Makes the users of a file, each with an event in the audit log. What stands against one of them
/// is reported, and does not keep the others out.
pub async fn import(
    context: &Context,
    file: Htpasswd,
    options: ImportOptions,
) -> Result<ImportReport, database::Error> {
    let mut report = ImportReport {
        problems: file.problems,
        ..ImportReport::default()
    };
    for entry in file.entries {
        let (line, name) = (entry.line, entry.username.to_string());
        match take_over(context, entry, options, &mut report).await {
            Ok(()) => {}
            Err(UserError::Database(error)) => return Err(error),
            Err(error) => report.problems.push(Problem {
                line,
                name: Some(name),
                reason: error.to_string(),
            }),
        }
    }
    report.problems.sort_by_key(|problem| problem.line);
    Ok(report)
}

async fn take_over(
    context: &Context,
    entry: Entry,
    options: ImportOptions,
    report: &mut ImportReport,
) -> Result<(), UserError> {
    let Entry { username, hash, .. } = entry;
    if user::find(&context.database, &username).await?.is_some() {
        if !options.replace_passwords {
            report.untouched.push(username);
            return Ok(());
        }
        if !options.dry_run {
            user::set_password(context, &username, &hash).await?;
        }
        report.replaced.push(username);
        return Ok(());
    }
    if options.dry_run {
        let mut tx = context.database.read().await?;
        if let Some(path) = store::paths::first_at_or_below(&mut tx, username.as_str()).await? {
            return Err(if path == username.as_str() {
                UserError::UsernameTaken(username)
            } else {
                UserError::NamespaceInUse { username, path }
            });
        }
    } else {
        let new = NewUser {
            username: username.clone(),
            email: None,
            is_admin: false,
            password: Some(hash),
        };
        user::create(context, new).await?;
    }
    report.created.push(username);
    Ok(())
}

#[cfg(test)]
#[path = "htpasswd_tests.rs"]
mod tests;
