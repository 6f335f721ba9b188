//! Looks at everything that was promised, while nobody else is at work; and at the disks in the end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use acceptance::content::sha256;
use futures_util::future::join_all;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::model::Kind;
use crate::report::Report;
use crate::world::World;

/// Everything that has a name, and every open upload. What is seen now stays so.
///
/// Uploads first: to bring one to its end is a write, and what is pinned must not change any more.
pub async fn everything(world: &World, mut checkers: Vec<Client>) {
    let sessions = world.model().sessions();
    let next = AtomicUsize::new(0);
    join_all(checkers.iter_mut().map(async |checker| {
        while let Some(id) = sessions.get(next.fetch_add(1, Ordering::Relaxed)) {
            Box::pin(checker.look_at_session(*id)).await;
        }
    }))
    .await;
    let keys = world.model().keys();
    let next = AtomicUsize::new(0);
    join_all(checkers.iter_mut().map(async |checker| {
        while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(value) = Box::pin(checker.look_at(key)).await {
                world.model().pin(key, value);
            }
        }
    }))
    .await;
}

/// Swept of everything, only what is shown is on the disk, whole. Nobody may be at work.
pub fn disks(deployment: &Deployment) {
    let world = &deployment.world;
    let root = deployment.data_folder().join("docker/registry/v2");
    let now = world.tick();
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let keys = world.model().keys();
    for key in keys {
        if key.kind == Kind::Blob && world.model().holds(&key, now) {
            expected.insert(key.name);
        }
    }
    let mut found = BTreeSet::new();
    for file in files_below(&root.join("blobs/sha256")) {
        Report::count(&world.report.checks);
        let Some(digest) = named(&file) else {
            continue;
        };
        let bytes = std::fs::read(&file).unwrap();
        if sha256(&bytes) != digest {
            deployment.finding("a file is not what its name says", &file.display());
        }
        found.insert(digest);
    }
    for stray in found.difference(&expected) {
        deployment.finding("a sweep leaves a blob that nothing shows", stray);
    }
    for lost in expected.difference(&found) {
        deployment.finding("a blob has no file", lost);
    }
    for stray in files_below(&root.join("repositories")) {
        deployment.finding(
            "a sweep leaves an upload that nobody knows",
            &stray.display(),
        );
    }
}

/// Panics, in what the servers printed.
pub fn logs(deployment: &Deployment, seen: &mut BTreeSet<String>) {
    for file in files_below(&deployment.logs()) {
        let log = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for line in log.lines().filter(|line| line.contains("panicked at")) {
            if seen.insert(format!("{} {line}", file.display())) {
                deployment.finding("a server panicked", &format!("{}\n{line}", file.display()));
            }
        }
    }
}

/// `…/<two letters>/<hex>/data`
fn named(file: &Path) -> Option<String> {
    let hex = file.parent()?.file_name()?.to_str()?;
    Some(format!("sha256:{hex}"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}
