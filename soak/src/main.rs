//! Soak: the real program, and the worst of days.
//!
//! Randomized clients push, pull, move, delete, upload in pieces and log in, while servers are killed,
//! disks lose their power, fill up and turn read-only, databases go away and clocks jump. A model
//! keeps what was acknowledged; after each round everything is looked at.
//!
//! - [`plan`] decides what happens, from a seed;
//! - [`model`] remembers what was promised, in [`register`]s, and [`weather`] what is wrong right now;
//! - [`client`] is those who use the servers;
//! - [`deployment`] is the servers, on [`disk`]s and databases ([`postgres`]) that fail on demand;
//! - [`faults`] fail them, [`check`] looks at everything afterwards, [`laps`] goes through it all;
//! - [`report`] tells.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the report is what this program is for, and whatever does not work should stop it, loudly"
)]

mod check;
mod client;
mod deployment;
mod disk;
mod faults;
mod laps;
mod model;
mod plan;
mod postgres;
mod register;
mod report;
mod weather;
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acceptance::Databases;
use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use crate::plan::{Extent, Kind, Lap, Planned};
use crate::report::Report;

/// Use Portcullis on the worst of days, and check that it keeps what it promised
///
/// Laps on SQLite and PostgreSQL by turns: clients push, pull, move tags, delete, upload in pieces and
/// log in, while servers are killed, disks lose what was not synced, fill up and turn read-only, the
/// database goes away and the clock jumps. Whatever was acknowledged must be there after each
/// round, byte for byte; whatever was deleted must be gone; nothing may ever be answered with 500.
#[derive(Debug, Parser)]
#[command(
    max_term_width = 100,
    after_help = "A seed replays the plan: databases, faults with the operation after which they come, and of each\n\
        client what it does, in which order, with which bytes. It does not replay the race between clients,\n\
        servers and faults, and what a client does next depends on what it was told. So a replay\n\
        meets the same situations, and not always the same failure: repeat it.\n\n\
        Needs Debian, root and loop devices, and the test environment: `make soak` brings it up. Everything\n\
        runs in namespaces of its own, so mounts and processes are gone at the end, however it comes.\n\n\
        For example:\n  \
        make soak SOAK_SECONDS=3600\n  \
        make soak SOAK_SEED=4711 SOAK_LAP=3               again what failed\n  \
        make soak SOAK='--database sqlite --faults kill,power-cut'\n\n\
        Exit codes: 0 all is well, 1 something was lost or answered wrongly, 2 the soak itself could not\n\
        go on, 130 interrupted."
)]
struct Options {
    /// Begins no round after this many seconds
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 300)]
    seconds: u64,

    /// What everything follows from [default: a random one, which is printed]
    #[arg(long, env = "SOAK_SEED")]
    seed: Option<u64>,

    /// Go through this lap alone
    #[arg(long, env = "SOAK_LAP")]
    lap: Option<u64>,

    /// Go through this many laps, however long it takes
    #[arg(long, conflicts_with = "lap")]
    laps: Option<u64>,

    /// Rounds of a lap
    #[arg(long, default_value_t = 8)]
    rounds: usize,

    /// How many use the servers at once
    #[arg(long, default_value_t = 6)]
    clients: usize,

    /// Of each client in each round
    #[arg(long, default_value_t = 60)]
    operations: u64,

    /// On this database alone
    #[arg(long)]
    database: Option<Database>,

    /// These faults alone [default: all]
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Kind>,

    /// Go on after a failure, to see what else there is
    #[arg(long)]
    go_on: bool,

    /// Only tell what would happen, in the next two laps or those that are asked for
    #[arg(long)]
    plan: bool,

    /// Keep logs here even if nothing failed
    #[arg(long)]
    keep: Option<PathBuf>,

    /// Set by the program itself, once it is in its namespaces
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Database {
    Sqlite,
    Postgresql,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.plan {
        tell_plan(&options);
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    match options.inside.clone() {
        None => runtime.block_on(around(&options)),
        Some(folder) => {
            let code = runtime.block_on(inside(&options, &folder));
            // What is blocked, on a disk that is gone say, is not waited for.
            runtime.shutdown_timeout(Duration::from_secs(1));
            code
        }
    }
}

fn tell_plan(options: &Options) {
    let seed = options.seed.unwrap_or_else(rand::random);
    let course = options.course();
    println!("seed {seed}");
    for number in (course.first..).take(if course.seconds.is_some() {
        2
    } else {
        usize::try_from(course.laps).unwrap_or(2)
    }) {
        let lap = Lap::new(seed, number, &course.databases, &options.extent());
        for (round, faults) in lap.rounds.iter().enumerate() {
            println!("lap {number} ({:?}), round {round}", lap.database);
            for Planned {
                after,
                pause,
                fault,
            } in faults
            {
                println!("  after {after} operations and {pause:?}: {fault:?}");
            }
        }
    }
}

/// Runs this program again where nothing that it mounts or starts can outlive it.
async fn around(options: &Options) -> ExitCode {
    let folder = tempfile::Builder::new().prefix("soak-").tempdir().unwrap();
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("seed {seed}; logs are in {}", folder.path().display());
    let mut child = tokio::process::Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
        ])
        .args(["--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .arg(folder.path())
        .env("SOAK_SEED", seed.to_string())
        .kill_on_drop(true)
        .spawn()
        .expect("setpriv and unshare of util-linux");
    let mut terminated =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let code = loop {
        tokio::select! {
            status = child.wait() => break status.unwrap().code().unwrap_or(2),
            // The terminal tells the child, too, which ends in its own time.
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {
                let _ = child.kill().await;
                break 130;
            }
        }
    };
    clean_up(options, folder, code);
    ExitCode::from(u8::try_from(code).unwrap_or(2))
}

/// What failed is kept, with the disks as they were.
fn clean_up(options: &Options, folder: TempDir, code: i32) {
    if code == 1 || code == 2 || options.keep.is_some() {
        let kept = folder.keep();
        let shown = match &options.keep {
            Some(keep) if std::fs::rename(&kept, keep).is_ok() => keep.clone(),
            _ => kept,
        };
        println!(
            "logs, configurations and disks are kept in {}",
            shown.display()
        );
    }
}

fn remove_images(lap: &Path) {
    for image in ["data.img", "blobs.img"] {
        let _ = std::fs::remove_file(lap.join(image));
    }
}

async fn inside(options: &Options, folder: &Path) -> ExitCode {
    let seed = options.seed.expect("the seed, of whoever started this");
    let report = Arc::new(Report::new(folder.join("failures.txt")));
    let soak = tokio::spawn(soak(
        options.extent(),
        options.course(),
        seed,
        folder.to_owned(),
        Arc::clone(&report),
    ));
    let ended = tokio::select! {
        ended = soak => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    report.summary();
    let Some(ended) = ended else {
        println!("interrupted; seed {seed}");
        return ExitCode::from(130);
    };
    if let Err(error) = ended {
        println!("the soak could not go on: {error}; seed {seed}");
        return ExitCode::from(2);
    }
    if let Some(lap) = report.failed_lap() {
        println!("\nagain: make soak SOAK_SEED={seed} SOAK_LAP={lap}");
        return ExitCode::from(1);
    }
    println!("all is well; seed {seed}");
    ExitCode::SUCCESS
}

/// Which laps, until when.
#[derive(Clone, Debug)]
struct Course {
    first: u64,
    laps: u64,
    seconds: Option<u64>,
    databases: Vec<Databases>,
    go_on: bool,
}

async fn soak(extent: Extent, course: Course, seed: u64, folder: PathBuf, report: Arc<Report>) {
    disk::prove(&folder);
    let deadline = course
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for number in (course.first..).take(usize::try_from(course.laps).unwrap_or(usize::MAX)) {
        let lap = Lap::new(seed, number, &course.databases, &extent);
        let folder = folder.join(format!("lap-{number}"));
        std::fs::create_dir(&folder).unwrap();
        laps::run(&lap, &extent, &folder, &report, deadline, course.go_on).await;
        if report.findings() == 0 {
            remove_images(&folder);
        }
        let is_over = deadline.is_some_and(|deadline| Instant::now() > deadline);
        if is_over || report.findings() > 0 && !course.go_on {
            return;
        }
    }
}

impl Options {
    fn extent(&self) -> Extent {
        let all = || Kind::value_variants().iter().copied().collect();
        let chosen: BTreeSet<Kind> = self.faults.iter().copied().collect();
        Extent {
            clients: self.clients.max(1),
            operations: self.operations.max(1),
            rounds: self.rounds.max(1),
            kinds: if chosen.is_empty() { all() } else { chosen },
        }
    }

    fn course(&self) -> Course {
        let bounded = self.lap.is_some() || self.laps.is_some();
        Course {
            first: self.lap.unwrap_or(0),
            laps: if self.lap.is_some() {
                1
            } else {
                self.laps.unwrap_or(u64::MAX)
            },
            seconds: (!bounded).then_some(self.seconds),
            databases: match self.database {
                None => vec![Databases::Sqlite, Databases::Postgres],
                Some(Database::Sqlite) => vec![Databases::Sqlite],
                Some(Database::Postgresql) => vec![Databases::Postgres],
            },
            go_on: self.go_on,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }
}
