//! [`Wrk`] puts as many requests on a server as it answers. Pulls are measured with it here.

use std::path::Path;
use std::time::Duration;

use acceptance::Invocation;
use acceptance::content::media;
use serde_json::Value;

use crate::report::{Case, Report, Sample, real};
use crate::servers::{self, LARGE, REPOSITORY, SMALL, Server, Servers, TAG};
use crate::{Extent, Result, say};

/// Makes `wrk` print what it counted, unrounded, as its last line.
const SUMMARY: &str = r#"
done = function(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        '{"requests":%d,"bytes":%d,"microseconds":%d,"failed":%d,"broken":%d}',
        summary.requests, summary.bytes, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

pub async fn manifest(servers: &Servers, extent: Extent, report: &mut Report) -> Result<()> {
    let path = format!("/v2/{REPOSITORY}/manifests/{TAG}");
    let all = [&servers.portcullis, &servers.nginx, &servers.distribution];
    let load = Load {
        path: &path,
        connections: 32,
        bytes: servers.image.manifest.bytes.len(),
    };
    rounds(Case::Manifest, &load, all, servers, extent, report).await
}

pub async fn blobs(servers: &Servers, extent: Extent, report: &mut Report) -> Result<()> {
    let all = [&servers.portcullis, &servers.nginx, &servers.distribution];
    for (case, size, connections) in [
        (Case::SmallBlob, SMALL, 32),
        // More would only make the client switch between them.
        (Case::LargeBlob, LARGE, 4),
    ] {
        let blob = servers.image.layers.iter().find(|b| b.bytes.len() == size);
        let digest = &blob.ok_or("the image lacks a layer")?.digest;
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let load = Load {
            path: &path,
            connections,
            bytes: size,
        };
        rounds(case, &load, all, servers, extent, report).await?;
    }
    Ok(())
}

/// What is asked for.
#[derive(Debug)]
struct Load<'a> {
    path: &'a str,
    connections: u32,
    /// Length of the body of each answer.
    bytes: usize,
}

async fn rounds(
    case: Case,
    load: &Load<'_>,
    all: [&Server; 3],
    servers: &Servers,
    extent: Extent,
    report: &mut Report,
) -> Result<()> {
    say(case.name());
    for server in all {
        run(server, load, 1, servers).await?;
    }
    for _ in 0..extent.rounds {
        for server in all {
            let sample = run(server, load, extent.seconds, servers).await?;
            report.add(case, server.name, sample);
        }
    }
    Ok(())
}

/// One run. Units are answers for small bodies, MiB for large ones.
async fn run(server: &Server, load: &Load<'_>, seconds: u32, servers: &Servers) -> Result<Sample> {
    let token = servers::token(&servers.portcullis).await;
    let mut url = server.origin().clone();
    url.set_path(load.path);
    let wrk = Wrk {
        url: url.as_str(),
        headers: &[
            format!("Authorization: Bearer {token}"),
            format!("Accept: {}", media::OCI_MANIFEST),
        ],
        connections: load.connections,
        seconds,
        script: "",
    };
    let watch = server.watch()?;
    let counted = wrk.run(servers.nginx.folder())?;
    let spent = watch.spent()?;
    let units = if load.bytes < 1 << 20 {
        counted.requests
    } else {
        counted.bytes / real(1 << 20)
    };
    Ok(counted.sample(units, spent))
}

/// A load for one server, from one thread.
#[derive(Debug)]
pub struct Wrk<'a> {
    pub url: &'a str,
    pub headers: &'a [String],
    pub connections: u32,
    pub seconds: u32,
    /// In Lua; what makes the requests, if they are not all the same.
    pub script: &'a str,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub requests: f64,
    bytes: f64,
    seconds: f64,
}

impl Wrk<'_> {
    /// Runs to its end. Keeps its script in `folder`.
    pub fn run(&self, folder: &Path) -> Result<Counted> {
        let script = folder.join("wrk.lua");
        std::fs::write(&script, format!("{SUMMARY}{}", self.script))?;
        let headers = self.headers.iter().flat_map(|line| ["--header", line]);
        let finished = Invocation::new("wrk")
            .args(["--threads", "1", "--timeout", "60s"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .args(headers)
            .arg("--script")
            .arg(script)
            .arg(self.url)
            .run();
        let last = finished.stdout.lines().last().unwrap_or_default();
        let summary: Value = serde_json::from_str(last).map_err(|_| finished.to_string())?;
        let number = |name: &str| summary[name].as_f64().unwrap_or_default();
        if number("bytes") == 0.0 || number("failed") + number("broken") > 0.0 {
            return Err(format!("{}: {summary}", self.url).into());
        }
        Ok(Counted {
            requests: number("requests"),
            bytes: number("bytes"),
            seconds: number("microseconds") / 1e6,
        })
    }
}

impl Counted {
    /// The rate of units, and the processor time that each has cost.
    pub fn sample(self, units: f64, spent: Duration) -> Sample {
        Sample {
            value: units / self.seconds,
            processor: Some(spent.as_secs_f64() * 1e6 / units),
        }
    }
}
