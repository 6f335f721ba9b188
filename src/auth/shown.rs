//! What the commands about accounts print: the JSON of the admin API as it is, or parts of it as a
//! table.

use clap::Args;
use serde_json::Value;

use crate::cli::Output;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub struct OutputFormat {
    /// A table for people, or JSON for scripts
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// A column: its title, and the field of each record that it shows, such as `name` or `to/name`.
pub type Column = (&'static str, &'static str);

impl OutputFormat {
    /// Shows records, one a row, or as a JSON list.
    pub fn list(&self, records: &[Value], columns: &[Column]) -> Result<(), Failure> {
        match self.output {
            Output::Json => output::json(records)?,
            Output::Table => {
                let titles = columns.iter().map(|(title, _)| *title);
                let rows = records.iter().map(|record| cells(record, columns));
                output::table(titles, rows)?;
            }
        }
        Ok(())
    }

    /// Shows one record, a field a row, or as a JSON object.
    pub fn record(&self, record: &Value, columns: &[Column]) -> Result<(), Failure> {
        match self.output {
            Output::Json => output::json(record)?,
            Output::Table => {
                let rows = columns.iter().zip(cells(record, columns));
                output::table(
                    [],
                    rows.map(|((title, _), cell)| vec![(*title).to_owned(), cell]),
                )?;
            }
        }
        Ok(())
    }

    /// Says what was done, or shows what it was done to as a JSON object.
    pub fn done(&self, record: &Value, sentence: &str) -> Result<(), Failure> {
        match self.output {
            Output::Json => output::json(record)?,
            Output::Table => output::line(sentence)?,
        }
        Ok(())
    }

    /// Shows a new token: to be kept now, since nobody can read it again. What people should know
    /// besides goes to standard error, so that a script can take the token as it is.
    pub fn secret(&self, record: &Value, sentence: &str) -> Result<(), Failure> {
        match self.output {
            Output::Json => output::json(record)?,
            Output::Table => {
                output::note(sentence)?;
                if let Some(username) = record["username"].as_str() {
                    output::note(&format!("Its username is {username}."))?;
                }
                output::note("This is the token; it is shown this once:")?;
                output::line(record["token"].as_str().unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

fn cells(record: &Value, columns: &[Column]) -> Vec<String> {
    let cell =
        |(_, field): &Column| cell(record.pointer(&format!("/{field}")).unwrap_or(&Value::Null));
    columns.iter().map(cell).collect()
}

/// A value as people read it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => without_fraction(text),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// `2026-01-31T12:00:00.123456Z` without its microseconds.
fn without_fraction(text: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(time) => time
            .to_utc()
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        Err(_) => text.to_owned(),
    }
}
