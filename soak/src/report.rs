//! What was done, what went wrong, and how that is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Of one kind of finding so many are told; a lost disk would make thousands.
const TOLD: usize = 5;

/// Counts and findings of a whole soak.
#[derive(Debug)]
pub struct Report {
    began: Instant,
    pub laps: AtomicU64,
    pub rounds: AtomicU64,
    pub acknowledged: AtomicU64,
    /// Answers that left open what had happened.
    pub unknown: AtomicU64,
    pub checks: AtomicU64,
    faults: Mutex<BTreeMap<String, u64>>,
    notes: Mutex<BTreeMap<String, u64>>,
    findings: Mutex<Vec<Finding>>,
    /// Where the soak is, for findings.
    place: Mutex<String>,
}

#[derive(Clone, Debug)]
struct Finding {
    /// The same for all of its kind.
    what: String,
    place: String,
    details: String,
}

impl Report {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            laps: AtomicU64::default(),
            rounds: AtomicU64::default(),
            acknowledged: AtomicU64::default(),
            unknown: AtomicU64::default(),
            checks: AtomicU64::default(),
            faults: Mutex::default(),
            notes: Mutex::default(),
            findings: Mutex::default(),
            place: Mutex::default(),
        }
    }

    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn fault(&self, name: &str) {
        *self
            .faults
            .lock()
            .unwrap()
            .entry(name.to_owned())
            .or_default() += 1;
    }

    /// Something worth knowing that is no failure.
    pub fn note(&self, what: &str) {
        *self
            .notes
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += 1;
    }

    /// Something that must not be.
    pub fn finding(&self, what: &str, details: impl fmt::Display) {
        let finding = Finding {
            what: what.to_owned(),
            place: self.place.lock().unwrap().clone(),
            details: details.to_string(),
        };
        let mut findings = self.findings.lock().unwrap();
        let told = findings.iter().filter(|other| other.what == what).count();
        if told < TOLD {
            println!("FAILED {finding}");
        }
        findings.push(finding);
    }

    pub fn findings(&self) -> usize {
        self.findings.lock().unwrap().len()
    }

    pub fn enter(&self, place: String) {
        *self.place.lock().unwrap() = place;
    }

    /// One line, for somebody who waits.
    pub fn progress(&self) {
        let place = self.place.lock().unwrap().clone();
        println!(
            "{:>5} s  {place}: {} acknowledged, {} unknown, {} checks, {} failures",
            self.began.elapsed().as_secs(),
            self.acknowledged.load(Ordering::Relaxed),
            self.unknown.load(Ordering::Relaxed),
            self.checks.load(Ordering::Relaxed),
            self.findings(),
        );
    }

    pub fn summary(&self) {
        println!(
            "\n{} laps with {} rounds in {} s; {} operations acknowledged, {} with an outcome that \
             nobody was told, {} checks",
            self.laps.load(Ordering::Relaxed),
            self.rounds.load(Ordering::Relaxed),
            self.began.elapsed().as_secs(),
            self.acknowledged.load(Ordering::Relaxed),
            self.unknown.load(Ordering::Relaxed),
            self.checks.load(Ordering::Relaxed),
        );
        list("faults", &self.faults.lock().unwrap());
        list("notes", &self.notes.lock().unwrap());
        let findings = self.findings.lock().unwrap();
        let mut kinds = BTreeMap::new();
        for finding in findings.iter() {
            *kinds.entry(finding.what.clone()).or_default() += 1;
        }
        list("FAILURES", &kinds);
    }
}

fn list(title: &str, counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    println!("{title}:");
    for (name, count) in counts {
        println!("  {count:>6}  {name}");
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}\n{}", self.place, self.what, self.details)
    }
}
