//! What commands print: a table for people, JSON for scripts.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::cli::Output;

/// A record that can be a row of a table.
pub trait Row: Serialize {
    /// The column titles.
    const TITLES: &'static [&'static str];

    /// The cells, in the order of the titles.
    fn cells(&self) -> Vec<String>;
}

/// Prints records, one a row, or as a JSON list.
pub fn list<R: Row>(records: &[R], output: Output) -> io::Result<()> {
    match output {
        Output::Json => json(&records),
        Output::Table => {
            let mut table = Table::new();
            table.load_style(NOTHING).set_header(R::TITLES);
            for record in records {
                table.add_row(record.cells());
            }
            writeln!(io::stdout(), "{}", table.trim_fmt())
        }
    }
}

/// Prints one record: as a sentence, or as a JSON object.
pub fn one(record: &impl Serialize, sentence: &str, output: Output) -> io::Result<()> {
    match output {
        Output::Json => json(record),
        Output::Table => line(sentence),
    }
}

/// Prints what is text already.
pub fn bytes(text: &[u8]) -> io::Result<()> {
    io::stdout().write_all(text)
}

/// Prints a sentence.
pub fn line(sentence: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{sentence}")
}

fn json(value: &impl Serialize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value)?;
    writeln!(stdout)
}
