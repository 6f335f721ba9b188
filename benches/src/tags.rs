//! A hundred thousand tags in one repository, listed by page.

use std::time::{Duration, Instant};

use acceptance::Repository;
use acceptance::content::{Blob, Image};

use crate::report::{Case, Report, Sample};
use crate::servers::Servers;
use crate::{Extent, Result, say};

/// Tags on a page; what clients ask for when they ask at all.
const PAGE: usize = 1000;

/// Tags that one `PUT` makes, by `?tag=` parameters.
const TAGS_PER_PUT: usize = 50;

/// Puts in flight at a time.
const WRITERS: usize = 8;

pub async fn measure(servers: &Servers, extent: Extent, report: &mut Report) -> Result<()> {
    let server = &servers.portcullis;
    let repository = servers.repository(server).await;
    let made = Instant::now();
    populate(&repository, extent.tags).await;
    say(&format!(
        "{} tags made in {:.0?}",
        extent.tags,
        made.elapsed()
    ));

    for _ in 0..extent.rounds {
        let repository = servers.repository(server).await;
        let watch = server.watch()?;
        let pages = walk(&repository, extent.tags).await?;
        let spent = watch.spent()?;
        let count = u32::try_from(pages.len())?;
        let mut pages = pages;
        pages.sort_unstable();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        report.add(
            Case::TagPage,
            "portcullis",
            Sample {
                value: milliseconds(pages[pages.len() / 2]),
                processor: Some((spent / count).as_secs_f64() * 1e6),
            },
        );
        report.add(
            Case::TagPage,
            "portcullis, slowest page",
            Sample::alone(milliseconds(pages[pages.len() - 1])),
        );
    }
    Ok(())
}

/// One manifest under all tags.
async fn populate(repository: &Repository, tags: usize) {
    let image = Image::of(vec![Blob::random(100)]);
    repository.push(&image, &image.manifest.digest).await;
    let writers = (0..WRITERS).map(|writer| {
        let (repository, manifest) = (repository.clone(), &image.manifest);
        async move {
            let firsts = (0..tags).step_by(TAGS_PER_PUT);
            for first in firsts.skip(writer).step_by(WRITERS) {
                let names: Vec<String> = (first..tags.min(first + TAGS_PER_PUT))
                    .map(|number| format!("tag=tag-{number:06}"))
                    .collect();
                let reference = format!("{}?{}", manifest.digest, names.join("&"));
                repository.push_manifest(manifest, &reference).await;
            }
        }
    });
    futures_util::future::join_all(writers).await;
}

/// Follows `Link` from the first page to the last, on one connection. Returns how long each answer
/// took, from sending the request to its last byte.
async fn walk(repository: &Repository, tags: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut found = 0;
    let mut next = Some(format!("tags/list?n={PAGE}"));
    while let Some(page) = next {
        let call = repository.get(&page);
        let started = Instant::now();
        let answer = call.send().await;
        times.push(started.elapsed());
        let answer = answer.expect(200);
        found += answer.json()["tags"].as_array().map_or(0, Vec::len);
        next = answer.next_page();
    }
    // `latest` may be there, too.
    if found < tags {
        return Err(format!("the pages hold {found} tags of {tags}").into());
    }
    Ok(times)
}
