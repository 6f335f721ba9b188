//! The numbers, and how they are shown.

use std::fmt;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::targets::{self, Verdict};

/// Who everything is compared with.
pub const PORTCULLIS: &str = "portcullis";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    Manifest,
    SmallBlob,
    LargeBlob,
    Push,
    PushBothCores,
    TagPage,
    IdleMemory,
    CrowdMemory,
    Token,
    TokenForPassword,
    TokenAlone,
    TokenBesidePasswords,
    AuditPage,
}

impl Case {
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest by tag",
            Self::SmallBlob => "blob of 4 KiB",
            Self::LargeBlob => "blob of 200 MiB",
            Self::Push => "push of 200 MiB",
            Self::PushBothCores => "push, server on both cores",
            Self::TagPage => "page of 100 000 tags",
            Self::IdleMemory => "memory, idle",
            Self::CrowdMemory => "memory, crowd",
            Self::Token => "token for a personal token",
            Self::TokenForPassword => "token for a password",
            Self::TokenAlone => "decision, 10 000 projects",
            Self::TokenBesidePasswords => "beside 50 logins, 99th of 100",
            Self::AuditPage => "page of 100 000 events",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Manifest | Self::SmallBlob | Self::Token | Self::TokenForPassword => "1/s",
            Self::LargeBlob | Self::Push | Self::PushBothCores => "MiB/s",
            Self::TagPage | Self::TokenAlone | Self::TokenBesidePasswords | Self::AuditPage => "ms",
            Self::IdleMemory | Self::CrowdMemory => "MiB",
        }
    }

    /// What processor time is given for.
    fn processor_unit(self) -> &'static str {
        match self {
            Self::LargeBlob | Self::Push | Self::PushBothCores => "µs/MiB",
            _ => "µs",
        }
    }

    /// Whether more is better, so that a ratio means something.
    fn is_rate(self) -> bool {
        matches!(
            self,
            Self::Manifest | Self::SmallBlob | Self::LargeBlob | Self::Push | Self::PushBothCores
        )
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// In the unit of its [`Case`].
    pub value: f64,
    /// Microseconds of processor time that the server spent on each unit, if there is a server.
    pub processor: Option<f64>,
}

impl Sample {
    /// Of something that is no server.
    pub fn alone(value: f64) -> Self {
        Self {
            value,
            processor: None,
        }
    }
}

#[derive(Debug)]
struct Row {
    case: Case,
    subject: &'static str,
    samples: Vec<Sample>,
}

impl Row {
    fn median(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.value))
    }

    fn processor(&self) -> Option<f64> {
        let times: Vec<f64> = self.samples.iter().filter_map(|s| s.processor).collect();
        (!times.is_empty()).then(|| median(times))
    }

    fn extremes(&self) -> (f64, f64) {
        let values = self.samples.iter().map(|sample| sample.value);
        values.fold((f64::INFINITY, 0.0), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    }
}

/// All measurements of one run of this program.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, case: Case, subject: &'static str, sample: Sample) {
        let known = |row: &&mut Row| row.case == case && row.subject == subject;
        if let Some(row) = self.rows.iter_mut().find(known) {
            row.samples.push(sample);
        } else {
            self.rows.push(Row {
                case,
                subject,
                samples: vec![sample],
            });
            self.rows.sort_by_key(|row| row.case);
        }
    }

    pub fn median(&self, case: Case, subject: &str) -> Option<f64> {
        self.rows
            .iter()
            .find(|row| row.case == case && row.subject == subject)
            .map(Row::median)
    }

    /// How many times as fast as `peer` Portcullis is.
    pub fn ratio(&self, case: Case, peer: &str) -> Option<f64> {
        Some(self.median(case, PORTCULLIS)? / self.median(case, peer)?)
    }

    /// Whether no target was missed. One that was not measured is not missed.
    pub fn all_met(&self) -> bool {
        targets::judge(self).iter().all(Verdict::met)
    }

    pub fn to_json(&self) -> Value {
        let measurements = self.rows.iter().map(|row| {
            json!({
                "case": row.case.name(),
                "subject": row.subject,
                "unit": row.case.unit(),
                "median": row.median(),
                "values": row.samples.iter().map(|s| s.value).collect::<Vec<_>>(),
                "processor_unit": row.case.processor_unit(),
                "processor": row.processor(),
            })
        });
        let targets = targets::judge(self).into_iter();
        json!({
            "measurements": measurements.collect::<Vec<_>>(),
            "targets": targets.map(Verdict::to_json).collect::<Vec<_>>(),
        })
    }

    fn measurements(&self) -> Table {
        let mut table = table(&["", "who", "median", "range", "cpu", "portcullis is"]);
        let mut last = None;
        for row in &self.rows {
            let ratio = self
                .ratio(row.case, row.subject)
                .filter(|_| row.case.is_rate() && row.subject != PORTCULLIS);
            let (low, high) = row.extremes();
            let first = last.replace(row.case) != Some(row.case);
            table.add_row([
                if first { row.case.name() } else { "" }.to_owned(),
                row.subject.to_owned(),
                format!("{} {}", number(row.median()), row.case.unit()),
                format!("{} – {}", number(low), number(high)),
                row.processor().map_or_else(String::new, |time| {
                    format!("{} {}", number(time), row.case.processor_unit())
                }),
                ratio.map_or_else(String::new, |ratio| format!("{} ×", number(ratio))),
            ]);
        }
        table
    }

    fn verdicts(&self) -> Table {
        let mut table = table(&["target", "wanted", "found", ""]);
        for verdict in targets::judge(self) {
            table.add_row(verdict.cells());
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.measurements())?;
        write!(f, "{}", self.verdicts())
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Three significant digits are all that such measurements have.
pub fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// A count as a real number. Counts here are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(samples: &[(Case, &'static str, f64)]) -> Report {
        let mut report = Report::default();
        for (case, subject, value) in samples {
            report.add(*case, subject, Sample::alone(*value));
        }
        report
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median([3.0, 1.0, 200.0]) - 3.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 200.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_missed_target_is_reported() {
        let met = report(&[
            (Case::Manifest, PORTCULLIS, 12_000.0),
            (Case::Manifest, "distribution", 600.0),
        ]);
        assert!(met.all_met(), "{met}");
        let missed = report(&[
            (Case::Manifest, PORTCULLIS, 11_999.0),
            (Case::Manifest, "distribution", 600.0),
        ]);
        assert!(!missed.all_met(), "{missed}");
    }

    #[test]
    fn a_limit_is_a_limit() {
        assert!(report(&[(Case::IdleMemory, PORTCULLIS, 39.9)]).all_met());
        assert!(!report(&[(Case::IdleMemory, PORTCULLIS, 40.0)]).all_met());
    }

    #[test]
    fn medians_are_compared_not_single_rounds() {
        let report = report(&[
            (Case::SmallBlob, PORTCULLIS, 10.0),
            (Case::SmallBlob, PORTCULLIS, 80.0),
            (Case::SmallBlob, PORTCULLIS, 90.0),
            (Case::SmallBlob, "nginx", 100.0),
        ]);
        assert!((report.ratio(Case::SmallBlob, "nginx").unwrap() - 0.8).abs() < 1e-9);
        assert!(report.to_string().contains("0.80"));
        assert_eq!(report.to_json()["measurements"][0]["median"], 80.0);
    }
}
