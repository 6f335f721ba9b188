//! What commands print: a table for people, JSON for scripts.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

/// Prints rows under their titles.
pub fn table(
    titles: impl IntoIterator<Item = &'static str>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let titles: Vec<_> = titles.into_iter().collect();
    if !titles.is_empty() {
        table.set_header(titles);
    }
    for row in rows {
        table.add_row(row);
    }
    writeln!(io::stdout(), "{}", table.trim_fmt())
}

/// Prints what is text already.
pub fn bytes(text: &[u8]) -> io::Result<()> {
    io::stdout().write_all(text)
}

/// Prints a sentence.
pub fn line(sentence: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{sentence}")
}

/// Tells people something beside the output, which a script may be reading.
pub fn note(sentence: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{sentence}")
}

/// Prints JSON.
pub fn json(value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value)?;
    writeln!(stdout)
}
