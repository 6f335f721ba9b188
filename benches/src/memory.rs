//! Memory of `portcullis up`: just started, and in a crowd that pushes and pulls large blobs.

use std::path::Path;
use std::time::Duration;

use acceptance::{Client, Repository};
use futures_util::future::join_all;

use crate::push::{Payload, push};
use crate::report::{Case, Report, Sample};
use crate::servers::{self, REPOSITORY, Server};
use crate::{Extent, Result, machine};

/// After its start, before a server counts as idle.
const REST: Duration = Duration::from_secs(10);

pub async fn measure(
    program: &Path,
    folder: &Path,
    extent: Extent,
    report: &mut Report,
) -> Result<()> {
    let server = servers::portcullis(program, folder.join("memory")).await?;
    tokio::time::sleep(REST).await;
    let idle = machine::memory(server.id())?.resident;
    report.add(Case::IdleMemory, server.name, Sample::alone(idle));

    let token = servers::token(&server).await;
    let repository = Client::new(server.origin())
        .with_token(&token)
        .repository(REPOSITORY);
    let payload = Payload::new(extent.crowd_blob);
    let pulled = payload.vary();
    let digest = pulled.digest().to_owned();
    push(&repository, pulled).await;

    let pushes = join_all((0..extent.crowd).map(|_| push(&repository, payload.vary())));
    let pulls =
        join_all((0..extent.crowd).map(|_| pull(&server, &repository, &digest, extent.crowd_blob)));
    let (_, pulled) = tokio::join!(pushes, pulls);
    pulled.into_iter().collect::<Result<()>>()?;
    let peak = machine::memory(server.id())?.peak;
    report.add(Case::CrowdMemory, server.name, Sample::alone(peak));
    drop(server);
    std::fs::remove_dir_all(folder.join("memory"))?;
    Ok(())
}

/// Reads a blob to its end and keeps nothing of it.
async fn pull(server: &Server, repository: &Repository, digest: &str, length: usize) -> Result<()> {
    let mut url = server.origin().clone();
    url.set_path(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let mut response = reqwest::Client::new()
        .get(url)
        .bearer_auth(repository.token().await)
        .send()
        .await?
        .error_for_status()?;
    let mut received = 0;
    while let Some(chunk) = response.chunk().await? {
        received += chunk.len();
    }
    if received == length {
        Ok(())
    } else {
        Err(format!("a pull ended after {received} bytes of {length}").into())
    }
}
