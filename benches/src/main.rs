//! Load harness: Portcullis side by side with nginx and distribution 2.8, on this machine, now.
//!
//! ```text
//! cargo build --release --bin portcullis
//! cargo run --release -p bench                  # a table; about five minutes
//! cargo run --release -p bench -- --quick       # one minute, for a first impression
//! cargo run --release -p bench -- --check       # exit code 1 when a target is missed
//! cargo run --release -p bench -- --json FILE   # the numbers, for scripts
//! ```
//!
//! Needs two cores and Debian's `nginx-light` (or `nginx`), `docker-registry` and `wrk`; no root.
//!
//! Each server runs on the first core alone, clients on the second. The servers take turns within
//! each round, so that whatever else happens on the machine happens to all of them; what counts
//! is the ratio of medians. Absolute numbers are this machine's, not Portcullis's. Beside the rate
//! stands the processor time that the server spent on each unit: it is steadier, and it shows what the
//! server could do where the client is the slower one.
//!
//! How the three are made comparable:
//! - all serve the same bytes from the page cache, over HTTP/1.1 with connections kept open, and
//!   none writes an access log;
//! - Portcullis and distribution both verify the same bearer token, signed by Portcullis;
//! - nginx verifies nothing and reads plain files: one worker, `sendfile`, no `open_file_cache`
//!   (its default: a server of files that change cannot keep them open for long);
//! - distribution has its in-memory cache of blob descriptors on;
//! - a push is one `POST` and one `PUT` of bytes never seen before, over when the server says 201.
//!
//! - [`servers`] starts them, [`load`] puts requests on them, [`push`] sends blobs, [`tags`] lists
//!   a hundred thousand tags, [`memory`] watches Portcullis's, [`baseline`] asks the machine
//!   what it can do without any server;
//! - [`gate`] is a Portcullis with many accounts, of which [`tokens`] asks for tokens and [`audit`]
//!   for events: no peer does what these measure;
//! - [`machine`] pins, and reads times and sizes from `/proc`;
//! - [`report`] holds the numbers, the [`targets`], and prints both.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the report and the progress are what this program is for"
)]

mod audit;
mod baseline;
mod gate;
mod load;
mod machine;
mod memory;
mod push;
mod report;
mod servers;
mod tags;
mod targets;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::gate::Gate;
use crate::report::Report;
use crate::servers::Servers;

/// Whatever stops a benchmark: there is nobody to handle it but the reader.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(about = "Measure Portcullis side by side with nginx and distribution 2.8")]
struct Options {
    /// Fewer and shorter rounds, smaller crowds
    #[arg(long)]
    quick: bool,

    /// Exit with code 1 when a target is missed
    #[arg(long)]
    check: bool,

    /// Write all numbers to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Measure only these (repeat, or separate by commas)
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    /// Rounds of each measurement [default: 5; quick: 3]
    #[arg(long)]
    rounds: Option<usize>,

    /// The program to measure [default: `portcullis` beside this program]
    #[arg(long, value_name = "PROGRAM")]
    portcullis: Option<PathBuf>,

    /// Where servers keep their data; a fresh folder in it is used and removed [default: a temporary one]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Pull a manifest by tag
    Manifest,
    /// Pull a blob of 4 KiB, and one of 200 MiB
    Blob,
    /// Push blobs of 200 MiB
    Push,
    /// List 100 000 tags by page
    Tags,
    /// Memory, idle and in a crowd
    Memory,
    /// Issue tokens, for personal tokens and for passwords
    Tokens,
    /// Filter 100 000 audit events by page
    Audit,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Extent {
    rounds: usize,
    seconds: u32,
    tags: usize,
    crowd: usize,
    crowd_blob: usize,
}

impl Options {
    fn extent(&self) -> Extent {
        let full = Extent {
            rounds: 5,
            seconds: 3,
            tags: 100_000,
            crowd: 64,
            crowd_blob: servers::LARGE,
        };
        let quick = Extent {
            rounds: 3,
            seconds: 1,
            crowd_blob: servers::LARGE / 10,
            ..full
        };
        let extent = if self.quick { quick } else { full };
        Extent {
            rounds: self.rounds.unwrap_or(extent.rounds).max(1),
            ..extent
        }
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options) {
        Ok(report) => {
            println!("{report}");
            if options.check && !report.all_met() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(options: &Options) -> Result<Report> {
    machine::require(&["nginx", "docker-registry", "wrk", "taskset"])?;
    // Before the runtime starts its threads: they inherit it.
    machine::pin_clients()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let report = runtime.block_on(measure_all(options))?;
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", report.to_json()))?;
    }
    Ok(report)
}

async fn measure_all(options: &Options) -> Result<Report> {
    let extent = options.extent();
    let folder = match &options.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let program = servers::portcullis_program(options.portcullis.as_deref())?;
    let mut report = Report::default();

    if options.wants(Part::Memory) {
        say("memory");
        memory::measure(&program, folder.path(), extent, &mut report).await?;
    }
    if options.wants(Part::Tokens) || options.wants(Part::Audit) {
        say("accounts");
        let gate = Gate::open(&program, folder.path()).await?;
        if options.wants(Part::Tokens) {
            tokens::measure(&gate, extent, &mut report).await?;
        }
        if options.wants(Part::Audit) {
            say("audit log");
            audit::measure(&gate, extent, &mut report).await?;
        }
    }
    let parts = [Part::Manifest, Part::Blob, Part::Push, Part::Tags];
    if parts.iter().any(|part| options.wants(*part)) {
        say("starting servers");
        let servers = Servers::start(&program, folder.path()).await?;
        measure_beside_peers(&servers, options, &mut report).await?;
    }
    Ok(report)
}

async fn measure_beside_peers(
    servers: &Servers,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let extent = options.extent();
    if options.wants(Part::Manifest) {
        load::manifest(servers, extent, report).await?;
    }
    if options.wants(Part::Blob) {
        load::blobs(servers, extent, report).await?;
    }
    if options.wants(Part::Push) {
        say("push");
        push::measure(servers, extent, report).await?;
    }
    if options.wants(Part::Tags) {
        say("tags");
        tags::measure(servers, extent, report).await?;
    }
    Ok(())
}

/// Progress, apart from the report.
fn say(what: &str) {
    eprintln!("bench: {what}");
}
