//! Brings about what is planned, at its moment, and takes it back.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use acceptance::Databases;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::plan::{Fault, Full, Planned, Victim};
use crate::weather::Trouble;
use crate::world::World;

/// A trouble that is to last for some operations lasts no longer than this.
const LONGEST: Duration = Duration::from_secs(20);

/// How soon all is well again once nothing is wrong.
const RECOVERY: Duration = Duration::from_mins(1);

/// What ends a lap early: a server that does not start.
#[derive(Debug)]
pub struct Stuck(pub String);

/// Goes through the faults of a round while clients are at work.
pub async fn inject(
    deployment: &mut Deployment,
    probe: &mut Client,
    planned: &[Planned],
) -> Result<(), Stuck> {
    for planned in planned {
        until(&deployment.world, planned.after).await;
        tokio::time::sleep(planned.pause).await;
        deployment
            .world
            .report
            .fault(&format!("{:?}", planned.fault.kind()));
        bring_about(deployment, probe, planned.fault)
            .await
            .map_err(|message| Stuck(format!("{:?}: {message}", planned.fault)))?;
    }
    Ok(())
}

async fn bring_about(
    deployment: &mut Deployment,
    probe: &mut Client,
    fault: Fault,
) -> Result<(), String> {
    let world = deployment.world.clone();
    let weather = &world.weather;
    match fault {
        Fault::Kill(victim) => {
            deployment.kill(victim);
            deployment.start().await?;
        }
        Fault::PowerCut => cut_power(deployment).await?,
        Fault::Stop => {
            deployment.stop().await;
            deployment.start().await?;
        }
        Fault::Reload { times } => {
            for _ in 0..times {
                deployment.reload();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Fault::FullDisk { which, operations } => {
            weather.begin(Trouble::NoWrites);
            fill(deployment, which);
            last(&world, operations).await;
            free(deployment, which);
            recover(deployment, probe).await;
            weather.end(Trouble::NoWrites);
        }
        Fault::StartOnFullDisk { which, operations } => {
            weather.begin(Trouble::NoWrites);
            start_on_full_disk(deployment, which, operations).await?;
            recover(deployment, probe).await;
            weather.end(Trouble::NoWrites);
        }
        Fault::ReadOnlyDisk { operations } => {
            weather.begin(Trouble::NoWrites);
            if deployment.blobs.make_read_only().await {
                last(&world, operations).await;
                deployment.blobs.make_writable();
                recover(deployment, probe).await;
            } else {
                world
                    .report
                    .note("a disk was never idle enough to turn read-only");
            }
            weather.end(Trouble::NoWrites);
        }
        Fault::DatabaseDrops => {
            weather.begin(Trouble::NoDatabase);
            if let Some(postgres) = &deployment.postgres {
                postgres.drop_connections();
            }
            recover(deployment, probe).await;
            weather.end(Trouble::NoDatabase);
        }
        Fault::DatabaseRefuses { operations } => {
            weather.begin(Trouble::NoDatabase);
            if let Some(postgres) = &deployment.postgres {
                postgres.refuse();
                last(&world, operations).await;
                postgres.accept();
            }
            recover(deployment, probe).await;
            weather.end(Trouble::NoDatabase);
        }
        Fault::ClockJump { offset } => jump(deployment, offset).await?,
        Fault::SecondStart => {
            if !deployment.second_start().await {
                deployment.finding(
                    "a second start on the same data was not refused",
                    &"both serve",
                );
            }
        }
        Fault::Sweep { older_than } => {
            // Files have the true time, whatever the servers believe.
            let ahead = u64::try_from(world.offset()).unwrap_or(0);
            let older_than = older_than + Duration::from_secs(ahead);
            tokio::join!(deployment.sweep(older_than), probe.rush(older_than));
        }
    }
    Ok(())
}

async fn cut_power(deployment: &mut Deployment) -> Result<(), String> {
    deployment.kill(Victim::Both);
    deployment.blobs.cut();
    deployment.data.cut();
    if deployment.database == Databases::Sqlite {
        deployment.world.model().power_was_cut();
    }
    deployment.data.mount();
    deployment.blobs.mount();
    deployment.start().await
}

async fn start_on_full_disk(
    deployment: &mut Deployment,
    which: Full,
    operations: u64,
) -> Result<(), String> {
    let world = deployment.world.clone();
    deployment.kill(Victim::Both);
    fill(deployment, which);
    let started = deployment.start().await;
    if let Err(message) = &started {
        deployment.finding("a server does not start on a full disk", message);
    } else {
        last(&world, operations).await;
    }
    free(deployment, which);
    if started.is_err() {
        deployment.start().await?;
    }
    Ok(())
}

/// A start at another time.
pub async fn jump(deployment: &mut Deployment, offset: i64) -> Result<(), String> {
    let world = deployment.world.clone();
    deployment.kill(Victim::Both);
    let back = world.offset() - offset;
    if let Ok(back) = u64::try_from(back) {
        world.model().clock_went_back(Duration::from_secs(back));
    }
    world.set_offset(offset);
    deployment.latest = deployment.latest.max(offset);
    deployment.start().await
}

fn fill(deployment: &Deployment, which: Full) {
    if which != Full::Blobs {
        deployment.data.fill();
    }
    if which != Full::Data {
        deployment.blobs.fill();
    }
}

fn free(deployment: &Deployment, which: Full) {
    if which != Full::Blobs {
        deployment.data.free();
    }
    if which != Full::Data {
        deployment.blobs.free();
    }
}

/// Waits until nothing is wrong any more, which takes a probe or two of the servers' own.
async fn recover(deployment: &Deployment, probe: &mut Client) {
    let deadline = Instant::now() + RECOVERY;
    loop {
        if probe.can_write().await {
            return;
        }
        if Instant::now() > deadline {
            deployment.finding(
                "nothing is wrong any more, and writing still fails",
                &format!("after {} s", RECOVERY.as_secs()),
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits for so many operations from now on.
async fn last(world: &World, operations: u64) {
    let deadline = Instant::now() + LONGEST;
    let target = world.operations.load(Ordering::SeqCst) + operations;
    while !is_reached(world, target) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for this many operations of the round.
async fn until(world: &World, operations: u64) {
    while !is_reached(world, operations) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_reached(world: &World, operations: u64) -> bool {
    world.operations.load(Ordering::SeqCst) >= operations
        || world.working.load(Ordering::SeqCst) == 0
}
