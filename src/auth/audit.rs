//! `auth audit`

use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::{ApiPath, Client};
use super::connection::Connection;
use super::place::Past;
use super::shown::{Column, OutputFormat};
use crate::cli;
use crate::failure::Failure;
use crate::output;

const COLUMNS: &[Column] = &[
    ("TIME", "at"),
    ("WHO", "actor/name"),
    ("FROM", "address"),
    ("ACTION", "action"),
    ("OF", "subject/name"),
    ("OUTCOME", "outcome"),
    ("REASON", "reason"),
];

/// Between two looks at what is new.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);

/// How long a transaction may take from writing its event to its end.
const FOLLOW_PATIENCE: Duration = Duration::from_mins(1);

/// How many events may be under way at the start.
const FOLLOW_OVERLAP: i64 = 1_000;

/// Search, follow and export the audit log
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    portcullis auth audit --action user --since 24h\n  \
    portcullis auth audit --outcome failure --actor alice\n  \
    portcullis auth audit --since 30d --output jsonl > audit.jsonl\n  \
    portcullis auth audit --follow")]
pub struct Audit {
    /// What was done: `user.create`, or `user` for all that is done to users
    #[arg(long)]
    action: Option<String>,
    /// Who did it
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// What it was done to
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// How it ended
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    address: Option<std::net::IpAddr>,
    /// From then on: how long ago, such as 24h or 7d, or a time
    #[arg(long, value_name = "WHEN")]
    since: Option<Past>,
    /// Before then
    #[arg(long, value_name = "WHEN")]
    until: Option<Past>,
    /// At most so many, the newest; `jsonl` has all
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on with what happens from now on, as JSON lines
    #[arg(long, conflicts_with_all = ["since", "until", "limit"])]
    follow: bool,
    /// A table for people; JSON, or JSON lines of everything (the oldest first), for programs
    #[arg(long, short, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Success,
    Failure,
}

/// `auth audit`
pub async fn run(command: Audit) -> Result<(), Failure> {
    let address = command.address.map(|address| address.to_string());
    let outcome = command.outcome.map(|outcome| match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
    });
    let filters = [
        ("action", command.action.as_deref()),
        ("actor", command.actor.as_deref()),
        ("subject", command.subject.as_deref()),
        ("outcome", outcome),
        ("address", address.as_deref()),
        ("since", command.since.as_ref().map(Past::as_str)),
        ("until", command.until.as_ref().map(Past::as_str)),
    ];
    let filters: Vec<(&str, &str)> = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let connection = &command.connection;
    if command.follow {
        return connection
            .with(async |api| follow(&api, &filters).await)
            .await;
    }
    let output = match command.output {
        Form::Jsonl => {
            let export = async |api: Client| export(&api, &filters).await;
            return connection.with(export).await;
        }
        Form::Json => cli::Output::Json,
        Form::Table => cli::Output::Table,
    };
    let limit = command.limit.to_string();
    let query = [&[("limit", limit.as_str())], filters.as_slice()].concat();
    let events = connection.get(&ApiPath::new(["audit"]), &query).await?;
    let events = events.as_array().cloned().unwrap_or_default();
    OutputFormat { output }.list(&events, COLUMNS)
}

/// Everything, as it comes.
async fn export(api: &Client, query: &[(&str, &str)]) -> Result<(), Failure> {
    let path = ApiPath::new(["audit", "export"]);
    let mut answer = api.stream(&path, query).await?;
    while let Some(piece) = answer.chunk().await? {
        output::bytes(&piece)?;
    }
    Ok(())
}

/// Never ends by itself.
async fn follow(api: &Client, filters: &[(&str, &str)]) -> Result<(), Failure> {
    let newest = api.get(&ApiPath::new(["audit"]), &[("limit", "1")]).await?;
    let mut shown = Shown::from(newest[0]["number"].as_i64().unwrap_or(0));
    // What there is has been seen; what is among it and not yet committed has not.
    read_on(api, filters, &mut shown, |_| Ok(())).await?;
    loop {
        tokio::time::sleep(FOLLOW_INTERVAL).await;
        read_on(api, filters, &mut shown, output::bytes).await?;
        std::io::stdout().flush()?;
    }
}

/// Hands on the events that have not been shown yet, a line each.
async fn read_on(
    api: &Client,
    filters: &[(&str, &str)],
    shown: &mut Shown,
    hand_on: impl Fn(&[u8]) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let after = shown.after().to_string();
    let mut query = filters.to_vec();
    if shown.after() > 0 {
        query.push(("after", &after));
    }
    let path = ApiPath::new(["audit", "export"]);
    let mut answer = api.stream(&path, &query).await?;
    let mut begun = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        begun.extend_from_slice(&piece);
        // Whole lines are done with.
        while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = begun.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            if event["number"]
                .as_i64()
                .is_none_or(|number| shown.is_new(number))
            {
                hand_on(&line)?;
            }
        }
    }
    shown.settle(Instant::now());
    Ok(())
}

/// Which events have been shown. Numbers are given when an event is written, and events appear when
/// its transaction is committed, which may be in another order: so what is new is looked for among
/// the numbers before, too.
struct Shown {
    /// Nothing new is expected up to this number.
    settled: i64,
    numbers: BTreeSet<i64>,
    /// The greatest number at the end of each look.
    looks: VecDeque<(Instant, i64)>,
}

impl Shown {
    fn from(newest: i64) -> Self {
        Self {
            settled: (newest - FOLLOW_OVERLAP).max(0),
            numbers: BTreeSet::new(),
            looks: VecDeque::new(),
        }
    }

    /// After which number to look.
    fn after(&self) -> i64 {
        self.settled
    }

    fn is_new(&mut self, number: i64) -> bool {
        number > self.settled && self.numbers.insert(number)
    }

    /// At the end of a look: what was the newest long ago has nothing before it that is still to
    /// come.
    fn settle(&mut self, now: Instant) {
        let newest = self.numbers.last().copied().unwrap_or(self.settled);
        self.looks.push_back((now, newest));
        while let Some((_, number)) = self
            .looks
            .pop_front_if(|(at, _)| now.duration_since(*at) >= FOLLOW_PATIENCE)
        {
            self.settled = number;
        }
        self.numbers = self.numbers.split_off(&(self.settled + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_late_is_shown_once() {
        let start = Instant::now();
        let mut shown = Shown::from(5_000);
        let mut look = |seconds: u64, numbers: &[i64]| {
            let after = shown.after();
            let seen = numbers.iter().filter(|number| **number > after);
            let new: Vec<i64> = seen
                .copied()
                .filter(|number| shown.is_new(*number))
                .collect();
            shown.settle(start + Duration::from_secs(seconds));
            new
        };
        assert_eq!(look(0, &[3_999, 4_999, 5_000]), [4_999, 5_000]);
        // 5 001 is still under way.
        assert_eq!(look(2, &[4_999, 5_000, 5_002]), [5_002]);
        assert_eq!(
            look(4, &[4_998, 4_999, 5_000, 5_001, 5_002]),
            [4_998, 5_001]
        );
        assert_eq!(look(6, &[4_998, 4_999, 5_000, 5_001, 5_002]), [0; 0]);
        // Much later nobody asks for these any more.
        assert_eq!(look(120, &[5_001, 5_002, 5_003]), [5_003]);
        assert_eq!(look(240, &[]), [0; 0]);
        assert_eq!((shown.after(), shown.numbers.len()), (5_003, 0));
    }
}
