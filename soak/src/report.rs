//! What was done, what went wrong, and how that is told.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Of one kind of finding so many are shown; a lost disk would make thousands. All are in a file.
const TOLD: usize = 3;

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
    lap: AtomicU64,
    place: Mutex<String>,
    /// What has all findings.
    file: PathBuf,
}

#[derive(Clone, Debug)]
struct Finding {
    /// The same for all of its kind.
    what: String,
    lap: u64,
    place: String,
    details: String,
}

impl Report {
    pub fn new(file: PathBuf) -> Self {
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
            lap: AtomicU64::default(),
            place: Mutex::default(),
            file,
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
            lap: self.lap.load(Ordering::Relaxed),
            place: self.place.lock().unwrap().clone(),
            details: details.to_string(),
        };
        let mut findings = self.findings.lock().unwrap();
        let told = findings.iter().filter(|other| other.what == what).count();
        if told < TOLD {
            println!("FAILED {finding}");
        }
        let file = File::options().create(true).append(true).open(&self.file);
        let written = file.and_then(|mut file| writeln!(file, "{finding}\n"));
        if let Err(error) = written {
            println!("cannot write {}: {error}", self.file.display());
        }
        findings.push(finding);
    }

    pub fn findings(&self) -> usize {
        self.findings.lock().unwrap().len()
    }

    /// The lap of the first.
    pub fn failed_lap(&self) -> Option<u64> {
        let findings = self.findings.lock().unwrap();
        findings.first().map(|finding| finding.lap)
    }

    pub fn begin_lap(&self, lap: u64) {
        self.lap.store(lap, Ordering::Relaxed);
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
