//! Pulls: `wrk` puts as many requests on a server as it answers.

use std::path::Path;

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

/// One run of `wrk`. Units are answers for small bodies, MiB for large ones.
async fn run(server: &Server, load: &Load<'_>, seconds: u32, servers: &Servers) -> Result<Sample> {
    let token = servers::token(&servers.portcullis).await;
    let mut url = server.origin().clone();
    url.set_path(load.path);
    let watch = server.watch()?;
    let summary = wrk(servers.nginx.folder(), url.as_str(), load, seconds, &token)?;
    let spent = watch.spent()?;

    let number = |name: &str| summary[name].as_f64().unwrap_or_default();
    if number("bytes") == 0.0 || number("failed") + number("broken") > 0.0 {
        return Err(format!("{}: {url}: {summary}", server.name).into());
    }
    let units = if load.bytes < 1 << 20 {
        number("requests")
    } else {
        number("bytes") / real(1 << 20)
    };
    Ok(Sample {
        value: units / (number("microseconds") / 1e6),
        processor: Some(spent.as_secs_f64() * 1e6 / units),
    })
}

fn wrk(folder: &Path, url: &str, load: &Load<'_>, seconds: u32, token: &str) -> Result<Value> {
    let script = folder.join("summary.lua");
    std::fs::write(&script, SUMMARY)?;
    let finished = Invocation::new("wrk")
        .args(["--threads", "1", "--timeout", "60s"])
        .args(["--connections", &load.connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--header", &format!("Accept: {}", media::OCI_MANIFEST)])
        .arg("--script")
        .arg(script)
        .arg(url)
        .run();
    let last = finished.stdout.lines().last().unwrap_or_default();
    Ok(serde_json::from_str(last).map_err(|_| finished.to_string())?)
}
