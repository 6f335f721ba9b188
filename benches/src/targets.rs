//! What Portcullis promises of its speed and size, and whether it keeps it.
//!
//! Ratios, because only they mean the same on another machine. Times, memory and the rate of tokens
//! are limits: their point is a size that a laptop or a pod can be planned with.

use serde_json::{Value, json};

use crate::report::{Case, PORTCULLIS, Report, number};

#[derive(Clone, Copy, Debug)]
enum Target {
    /// So many times as fast as a peer, or faster.
    AtLeast(Case, &'static str, f64),
    /// This or more, in the case's unit.
    NoLess(Case, f64),
    /// Less than this, in the case's unit.
    Below(Case, f64),
}

const TARGETS: [Target; 12] = [
    Target::AtLeast(Case::Manifest, "distribution", 20.0),
    Target::AtLeast(Case::SmallBlob, "nginx", 0.6),
    Target::AtLeast(Case::LargeBlob, "nginx", 0.8),
    Target::AtLeast(Case::Push, "distribution", 1.0),
    Target::AtLeast(Case::Push, "dd conv=fsync", 0.8),
    Target::Below(Case::TagPage, 5.0),
    Target::Below(Case::IdleMemory, 40.0),
    Target::Below(Case::CrowdMemory, 120.0),
    Target::NoLess(Case::Token, 5_000.0),
    Target::Below(Case::TokenAlone, 1.0),
    Target::Below(Case::TokenBesidePasswords, 20.0),
    Target::Below(Case::AuditPage, 20.0),
];

/// A target and what was found.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    target: Target,
    found: Option<f64>,
}

pub fn judge(report: &Report) -> Vec<Verdict> {
    TARGETS
        .iter()
        .map(|target| Verdict {
            target: *target,
            found: match *target {
                Target::AtLeast(case, peer, _) => report.ratio(case, peer),
                Target::NoLess(case, _) | Target::Below(case, _) => report.median(case, PORTCULLIS),
            },
        })
        .collect()
}

impl Verdict {
    /// Not measured counts as met.
    pub fn met(&self) -> bool {
        self.found.is_none_or(|found| match self.target {
            Target::AtLeast(_, _, wanted) | Target::NoLess(_, wanted) => found >= wanted,
            Target::Below(_, limit) => found < limit,
        })
    }

    pub fn cells(&self) -> [String; 4] {
        let (what, wanted) = match self.target {
            Target::AtLeast(case, peer, wanted) => (
                format!("{} against {peer}", case.name()),
                format!("≥ {wanted} ×"),
            ),
            Target::NoLess(case, wanted) => (
                case.name().to_owned(),
                format!("≥ {wanted} {}", case.unit()),
            ),
            Target::Below(case, limit) => {
                (case.name().to_owned(), format!("< {limit} {}", case.unit()))
            }
        };
        let found = self.found.map_or_else(String::new, number);
        let verdict = match (self.found, self.met()) {
            (None, _) => "not measured",
            (_, true) => "met",
            (_, false) => "missed",
        };
        [what, wanted, found, verdict.to_owned()]
    }

    pub fn to_json(self) -> Value {
        let [target, wanted, ..] = self.cells();
        json!({
            "target": target,
            "wanted": wanted,
            "found": self.found,
            "met": self.found.map(|_| self.met()),
        })
    }
}
