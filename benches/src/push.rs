//! Pushes of large blobs, one at a time: what one `docker push` of one layer feels.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use acceptance::Repository;
use acceptance::content::random_bytes;
use bytes::Bytes;
use futures_util::stream;
use reqwest::header::CONTENT_LENGTH;
use sha2::{Digest as _, Sha256};

use crate::report::{Case, Report, Sample, real};
use crate::servers::{LARGE, Server, Servers};
use crate::{Extent, Result, baseline, machine};

/// Bytes to push again and again, each time with another end, so that no registry has them yet.
/// The common part is made and hashed once: the client's core is for sending.
#[derive(Clone, Debug)]
pub struct Payload {
    common: Bytes,
    hash: Sha256,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Variant {
    common: Bytes,
    end: Bytes,
    digest: String,
}

impl Variant {
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Bytes that differ.
const END: usize = 64;

impl Payload {
    pub fn new(length: usize) -> Self {
        let common = random_bytes(length - END);
        Self {
            hash: Sha256::new_with_prefix(&common),
            common,
        }
    }

    pub fn vary(&self) -> Variant {
        let end = random_bytes(END);
        let hash = self.hash.clone().chain_update(&end);
        Variant {
            common: self.common.clone(),
            digest: format!("sha256:{}", hex::encode(hash.finalize())),
            end,
        }
    }
}

/// Pushes one variant. Returns the time from the first byte of the `POST` to the 201.
pub async fn push(repository: &Repository, variant: Variant) -> Duration {
    let length = variant.common.len() + variant.end.len();
    let body = stream::iter([variant.common, variant.end].map(Ok::<_, std::io::Error>));
    let started = Instant::now();
    let upload = repository.start_upload().await;
    upload
        .closing(&variant.digest)
        .header(CONTENT_LENGTH.as_str(), &length.to_string())
        .body(reqwest::Body::wrap_stream(body))
        .send()
        .await
        .expect(201);
    started.elapsed()
}

pub async fn measure(servers: &Servers, extent: Extent, report: &mut Report) -> Result<()> {
    let payload = Payload::new(LARGE);
    let folder = servers.portcullis.folder();
    let source = folder.join("payload");
    std::fs::write(&source, &payload.common)?;

    let registries = [&servers.portcullis, &servers.distribution];
    for server in registries {
        sample(servers, server, &payload).await?;
    }
    for _ in 0..extent.rounds {
        settle(folder)?;
        let copied = baseline::durable_copy(&source, folder)?;
        report.add(Case::Push, "dd conv=fsync", Sample::alone(copied));
        let hashed = baseline::hashing();
        report.add(Case::Push, "sha256 alone", Sample::alone(hashed));
        let both = baseline::one_after_the_other(copied, hashed);
        report.add(Case::Push, "dd, then sha256", Sample::alone(both));
        for server in registries {
            let sample = sample(servers, server, &payload).await?;
            report.add(Case::Push, server.name, sample);
        }
        // The client shares the second core with the server here, so this is a lower bound. One core
        // is all that `dd` has a use for.
        report.add(Case::PushBothCores, "dd conv=fsync", Sample::alone(copied));
        for server in registries {
            machine::move_to(server.id(), &machine::BOTH_CORES)?;
            let sample = sample(servers, server, &payload).await?;
            machine::move_to(server.id(), &[machine::SERVER_CORE])?;
            report.add(Case::PushBothCores, server.name, sample);
        }
    }
    Ok(())
}

async fn sample(servers: &Servers, server: &Server, payload: &Payload) -> Result<Sample> {
    let repository = servers.repository(server).await;
    let variant = payload.vary();
    settle(server.folder())?;
    let watch = server.watch()?;
    let took = push(&repository, variant).await;
    let spent = watch.spent()?;
    let mebibytes = real(LARGE >> 20);
    Ok(Sample {
        value: mebibytes / took.as_secs_f64(),
        processor: Some(spent.as_secs_f64() * 1e6 / mebibytes),
    })
}

/// Nobody pays for what the one before left unwritten, nor for memory that a virtual machine has
/// not used yet: its first use costs more than the writing, and whoever came second would have it
/// for nothing.
fn settle(folder: &Path) -> Result<()> {
    let scratch = folder.join("scratch");
    let mut file = std::fs::File::create(&scratch)?;
    let piece = vec![0; 1 << 20];
    for _ in 0..2 * LARGE / piece.len() {
        file.write_all(&piece)?;
    }
    std::fs::remove_file(scratch)?;
    drop(file);
    rustix::fs::sync();
    Ok(())
}
