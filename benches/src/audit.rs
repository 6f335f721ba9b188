//! The audit log: a hundred thousand events, filtered, by page.

use std::time::{Duration, Instant};

use acceptance::Client;

use crate::gate::{EVENTS, Gate};
use crate::report::{Case, PORTCULLIS, Report, Sample};
use crate::{Extent, Result, say};

/// Pages that are read of each filter, as far as it has so many.
const PAGES: usize = 5;

/// Everything that can be asked for, and some of it together; `MIDDLE` is a time.
const FILTERS: [&str; 14] = [
    "",
    "action=login",
    "action=member",
    "action=member.set",
    "actor=user-42",
    "subject=group-042/project-9",
    "outcome=success",
    "outcome=failure",
    "address=10.0.0.42",
    "since=MIDDLE",
    "until=MIDDLE",
    "actor=user-42&action=login&outcome=failure",
    "action=project&outcome=success&since=MIDDLE",
    "subject=group-042/project-9&until=MIDDLE",
];

pub async fn measure(gate: &Gate, extent: Extent, report: &mut Report) -> Result<()> {
    let client = Client::new(gate.server.origin());
    for round in 0..extent.rounds {
        let mut times = Vec::new();
        for filter in FILTERS {
            times.push((median(read(gate, &client, filter).await?), filter));
        }
        times.sort_unstable();
        let milliseconds = |time: Duration| Sample::alone(time.as_secs_f64() * 1e3);
        if let Some((slowest, filter)) = times.last() {
            report.add(Case::AuditPage, PORTCULLIS, milliseconds(*slowest));
            if round == 0 {
                say(&format!("the slowest filter is {filter:?}"));
            }
        }
        let typical = median(times.iter().map(|(time, _)| *time).collect());
        let who = "portcullis, median filter";
        report.add(Case::AuditPage, who, milliseconds(typical));
    }
    Ok(())
}

/// Follows `Link` for some pages; how long each took, to its last byte.
async fn read(gate: &Gate, client: &Client, filter: &str) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let query = filter.replace("MIDDLE", &gate.middle);
    let mut next = Some(format!("api/v1/audit?limit=100&{query}"));
    while let Some(page) = next.filter(|_| times.len() < PAGES) {
        let call = client
            .get(page.trim_start_matches('/'))
            .bearer(&gate.reader);
        let started = Instant::now();
        let answer = call.send().await;
        times.push(started.elapsed());
        let answer = answer.expect(200);
        let total: i64 = answer.header("x-total-count").parse()?;
        let is_right = if filter.is_empty() {
            total >= EVENTS
        } else {
            (1..EVENTS).contains(&total)
        };
        if !is_right {
            return Err(format!("the filter {filter:?} finds {total} events").into());
        }
        next = answer.next_page();
    }
    Ok(times)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
