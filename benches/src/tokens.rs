//! Tokens: what a core issues when nothing is remembered between two requests.
//!
//! Every request is for another of the ten thousand projects.

use std::time::{Duration, Instant};

use acceptance::Client;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::gate::{self, GROUPS, Gate, USER};
use crate::load::Wrk;
use crate::report::{Case, PORTCULLIS, Report, Sample, real};
use crate::servers::PASSWORD;
use crate::{Extent, Result, say};

/// Where tokens are, and for which registry.
const REALM: &str = "jwt/auth?service=portcullis-registry";

/// Password logins that run at any time in [`beside_passwords`].
const LOGINS: usize = 50;

/// Between two requests beside them.
const PACE: Duration = Duration::from_millis(2);

/// One after the other, for [`alone`].
const ALONE: usize = 500;

pub async fn measure(gate: &Gate, extent: Extent, report: &mut Report) -> Result<()> {
    check(gate).await?;
    say(Case::Token.name());
    let token = basic(USER, &gate.token);
    let password = basic("admin", PASSWORD);
    issue(gate, &token, 32, 1)?;
    for _ in 0..extent.rounds {
        let sample = issue(gate, &token, 32, extent.seconds)?;
        report.add(Case::Token, PORTCULLIS, sample);
        let sample = issue(gate, &password, 8, extent.seconds)?;
        report.add(Case::TokenForPassword, PORTCULLIS, sample);
    }
    say(Case::TokenAlone.name());
    for _ in 0..extent.rounds {
        alone(gate, report).await?;
    }
    say(Case::TokenBesidePasswords.name());
    for _ in 0..extent.rounds {
        beside_passwords(gate, extent, report).await?;
    }
    Ok(())
}

/// That what is measured is what is meant.
async fn check(gate: &Gate) -> Result<()> {
    let repository = gate::project(1234);
    let answer = ask(&client(gate), USER, &gate.token, &repository, "pull,push").await?;
    let token = answer["token"].as_str().unwrap_or_default();
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
    if claims["access"][0]["actions"] == serde_json::json!(["pull", "push"]) {
        Ok(())
    } else {
        Err(format!("the token does not allow what it should: {claims}").into())
    }
}

fn client(gate: &Gate) -> Client {
    Client::new(gate.server.origin())
}

fn basic(name: &str, password: &str) -> String {
    let credentials = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {credentials}")
}

/// As many as there can be.
fn issue(gate: &Gate, authorization: &str, connections: u32, seconds: u32) -> Result<Sample> {
    let script = format!(
        r#"
request = function()
    local number = math.random(0, 9999)
    return wrk.format("GET", string.format(
        "/{REALM}&scope=repository:group-%03d/project-%d:pull,push",
        number % {GROUPS}, math.floor(number / {GROUPS})))
end
"#
    );
    let wrk = Wrk {
        url: gate.server.origin().as_str(),
        headers: &[authorization.to_owned()],
        connections,
        seconds,
        script: &script,
    };
    let watch = gate.server.watch()?;
    let counted = wrk.run(gate.server.folder())?;
    Ok(counted.sample(counted.requests, watch.spent()?))
}

/// One request at a time. Of each the decision is but a part; it loads all that a decision can
/// depend on, grants too, because the role does not allow all that is asked for.
async fn alone(gate: &Gate, report: &mut Report) -> Result<()> {
    let client = client(gate);
    let watch = gate.server.watch()?;
    let mut times = Vec::with_capacity(ALONE);
    for number in 0..ALONE {
        // A prime, so that neighbours are in different groups.
        let repository = gate::project(number * 7919);
        let started = Instant::now();
        ask(&client, USER, &gate.token, &repository, "pull,push,delete").await?;
        times.push(started.elapsed());
    }
    let spent = watch.spent()?;
    times.sort_unstable();
    report.add(
        Case::TokenAlone,
        PORTCULLIS,
        Sample {
            value: milliseconds(percentile(&times, 50)),
            processor: Some(spent.as_secs_f64() * 1e6 / real(ALONE)),
        },
    );
    let slow = Sample::alone(milliseconds(percentile(&times, 99)));
    report.add(Case::TokenAlone, "portcullis, 99th of 100", slow);
    Ok(())
}

/// Requests with a token come at a steady pace, whether or not the ones before are answered, while
/// others log in with passwords as fast as they can.
async fn beside_passwords(gate: &Gate, extent: Extent, report: &mut Report) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(extent.seconds.into());
    let logins = (0..LOGINS).map(|number| log_in(gate, number, until));
    let (logins, times) = tokio::join!(join_all(logins), at_pace(gate, until));
    let logins: usize = logins.into_iter().sum::<Result<usize>>()?;
    let mut times = times?;
    times.sort_unstable();
    let sample = Sample::alone(milliseconds(percentile(&times, 99)));
    report.add(Case::TokenBesidePasswords, PORTCULLIS, sample);
    let half = Sample::alone(milliseconds(percentile(&times, 50)));
    report.add(Case::TokenBesidePasswords, "portcullis, median", half);
    say(&format!("{logins} logins beside {} tokens", times.len()));
    Ok(())
}

/// Logs in again and again; how often.
async fn log_in(gate: &Gate, number: usize, until: Instant) -> Result<usize> {
    let client = client(gate);
    let mut logins = 0;
    while Instant::now() < until {
        ask(&client, "admin", PASSWORD, &gate::project(number), "pull").await?;
        logins += 1;
    }
    Ok(logins)
}

/// Times from when a request was due to the end of its answer.
async fn at_pace(gate: &Gate, until: Instant) -> Result<Vec<Duration>> {
    let client = client(gate);
    let mut pace = tokio::time::interval(PACE);
    let mut asked = JoinSet::new();
    let mut number = 0;
    while Instant::now() < until {
        let due = pace.tick().await;
        let (client, token) = (client.clone(), gate.token.clone());
        number += 7919;
        asked.spawn(async move {
            ask(&client, USER, &token, &gate::project(number), "pull,push").await?;
            Ok(due.elapsed())
        });
    }
    asked.join_all().await.into_iter().collect()
}

async fn ask(
    client: &Client,
    name: &str,
    password: &str,
    repository: &str,
    actions: &str,
) -> Result<Value> {
    let path = format!("{REALM}&scope=repository:{repository}:{actions}");
    let answer = client.get(&path).basic(name, password).try_send().await?;
    if answer.status.is_success() {
        Ok(answer.json())
    } else {
        Err(answer.to_string().into())
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Of times in order.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_leaves_so_many_below() {
        let times: Vec<Duration> = (0..200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times, 100), Duration::from_millis(199));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
