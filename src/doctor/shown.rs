//! The report as text and as JSON.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use doctor::{Report, Status};
use serde_json::json;

use crate::failure::Failure;

/// One object, with the findings in order.
pub fn json(report: &Report) -> serde_json::Value {
    json!({
        "status": report.worst(),
        "checks": report.findings(),
        "first": report.first().map(|finding| &finding.check),
        "summary": summary(report),
    })
}

/// A line for each finding, what to change below it, and the summary at the end. In colours on a
/// terminal that wants them.
pub fn print(report: &Report) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    for finding in report.findings() {
        let verdict = &finding.verdict;
        let (mark, style) = mark(verdict.status);
        let (check, message) = (&finding.check, &verdict.message);
        writeln!(stdout, "{style}{mark:<7}{style:#} {check}: {message}")?;
        if let Some(fix) = &verdict.fix {
            writeln!(stdout, "        → {fix}")?;
        }
    }
    writeln!(stdout, "\n{}", summary(report))?;
    Ok(())
}

fn mark(status: Status) -> (&'static str, Style) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match status {
        Status::Ok => ("ok", colour(AnsiColor::Green)),
        Status::Skipped => ("-", Style::new().dimmed()),
        Status::Warning => ("warning", colour(AnsiColor::Yellow)),
        Status::Failure => ("FAILURE", colour(AnsiColor::Red).bold()),
    }
}

/// How many of what, and where to begin.
pub fn summary(report: &Report) -> String {
    let counted = |status, one: &str, many: &str| match report.count(status) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts: Vec<String> = [
        counted(Status::Failure, "failure", "failures"),
        counted(Status::Warning, "warning", "warnings"),
        Some(format!("{} ok", report.count(Status::Ok))),
        counted(Status::Skipped, "skipped", "skipped"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let counts = parts.join(", ");
    match report.first() {
        None => format!("All is well: {counts}."),
        Some(first) => {
            let fix = first
                .verdict
                .fix
                .as_deref()
                .unwrap_or(&first.verdict.message);
            format!("{counts}. Mend first: {}: {fix}.", first.check)
        }
    }
}
