//! What was found: one line for each check, causes before their consequences.

use std::fmt;

use serde::Serialize;

/// How a check ended, from harmless to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// It cannot be told, because of something else.
    Skipped,
    /// It works, but not for everybody, not for long, or not well.
    Warning,
    /// Clients will fail, or somebody could read what is not theirs.
    Failure,
}

/// What a check has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub status: Status,
    /// What was seen, in a sentence.
    pub message: String,
    /// What to change, in a sentence; only where there is something to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Verdict {
    pub fn ok(message: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            message: message.into(),
            fix: None,
        }
    }

    pub fn warning(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Status::Warning,
            message: message.into(),
            fix: Some(fix.into()),
        }
    }

    pub fn failure(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Status::Failure,
            message: message.into(),
            fix: Some(fix.into()),
        }
    }

    /// Not told, because of this.
    pub fn skipped(because: impl fmt::Display) -> Self {
        Self {
            status: Status::Skipped,
            message: format!("skipped: {because}"),
            fix: None,
        }
    }

    /// Adds what to do about it to what could not be told.
    #[must_use]
    pub fn unless(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub fn is_failure(&self) -> bool {
        self.status == Status::Failure
    }
}

/// A check and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for scripts: `registry.tls.chain`.
    pub check: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// All findings, in the order in which things depend on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding; says whether it stands in the way of what depends on it.
    pub fn add(&mut self, check: impl Into<String>, verdict: Verdict) -> bool {
        let failed = verdict.is_failure();
        self.findings.push(Finding {
            check: check.into(),
            verdict,
        });
        failed
    }

    /// Says of checks that they cannot be made, because of this.
    pub fn skip(&mut self, checks: &[impl AsRef<str>], because: &str) {
        for check in checks {
            let verdict = Verdict::skipped(format!("because {because}"));
            self.add(check.as_ref(), verdict);
        }
    }

    /// Adds what was found by itself.
    pub fn append(&mut self, other: Self) {
        self.findings.extend(other.findings);
    }

    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many ended so.
    pub fn count(&self, status: Status) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict.status == status)
            .count()
    }

    /// The worst of all.
    pub fn worst(&self) -> Status {
        self.findings
            .iter()
            .map(|finding| finding.verdict.status)
            .filter(|status| *status != Status::Skipped)
            .max()
            .unwrap_or(Status::Ok)
    }

    /// What to mend first: of what is worst, what the rest depends on.
    pub fn first(&self) -> Option<&Finding> {
        let worst = self.worst();
        self.findings
            .iter()
            .find(|finding| worst >= Status::Warning && finding.verdict.status == worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_depend_on_is_mended_first() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Status::Ok);
        assert_eq!(report.first(), None);

        report.add("a", Verdict::ok("fine"));
        report.add("b", Verdict::skipped("nobody asked"));
        assert_eq!(report.worst(), Status::Ok);

        report.add("c", Verdict::warning("soon", "renew"));
        assert_eq!(report.first().unwrap().check, "c");
        assert!(report.add("d", Verdict::failure("broken", "mend")));
        report.add("e", Verdict::failure("worse", "mend"));
        assert_eq!(report.first().unwrap().check, "d");
        assert_eq!(report.worst(), Status::Failure);
        assert_eq!(report.count(Status::Failure), 2);
    }

    #[test]
    fn a_finding_is_one_flat_object() {
        let finding = Finding {
            check: "registry.dns".to_owned(),
            verdict: Verdict::skipped("it is an address"),
        };
        assert_eq!(
            serde_json::to_value(finding).unwrap(),
            serde_json::json!({
                "check": "registry.dns",
                "status": "skipped",
                "message": "skipped: it is an address",
            })
        );
    }
}
