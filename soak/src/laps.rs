//! One lap: from an empty registry, through rounds of work and faults, to a swept disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::check;
use crate::client::{Client, Person};
use crate::deployment::{Deployment, message};
use crate::faults::{self, Stuck};
use crate::plan::{Extent, Lap};
use crate::report::Report;
use crate::world::World;

/// By then leases have run out, by the servers' clock.
const LEASES: i64 = 60;

/// How many look at everything at once.
const CHECKERS: usize = 8;

/// Who does something in a lap.
struct Cast<'l> {
    world: Arc<World>,
    people: Arc<[Person]>,
    lap: &'l Lap,
}

impl Cast<'_> {
    fn client(&self, number: usize, purpose: &str, round: usize) -> Client {
        let random = self.lap.random(purpose, round, number);
        let number = number.min(self.people.len() - 1);
        Client::new(&self.world, number, &self.people, random).in_round(
            self.lap.number,
            round,
            purpose,
        )
    }

    fn checkers(&self, round: usize) -> Vec<Client> {
        (0..CHECKERS)
            .map(|number| self.client(number, "checks", round))
            .collect()
    }
}

/// Runs until its end, or until the first round that ends after `deadline`, or that failed.
pub async fn run(
    lap: &Lap,
    extent: &Extent,
    folder: &Path,
    report: &Arc<Report>,
    deadline: Option<Instant>,
    go_on: bool,
) {
    let place = format!("lap {} ({:?})", lap.number, lap.database);
    report.begin_lap(lap.number);
    report.enter(place.clone());
    let mut deployment = Deployment::new(folder, lap.database, Arc::clone(report)).await;
    let ran = rounds(&mut deployment, lap, extent, &place, deadline, go_on).await;
    if let Err(Stuck(message)) = ran {
        report.finding("a server does not start", message);
    }
    check::logs(&deployment, &mut BTreeSet::new());
    Report::count(&report.laps);
}

async fn rounds(
    deployment: &mut Deployment,
    lap: &Lap,
    extent: &Extent,
    place: &str,
    deadline: Option<Instant>,
    go_on: bool,
) -> Result<(), Stuck> {
    let report = Arc::clone(&deployment.world.report);
    deployment.start().await.map_err(Stuck)?;
    let cast = Cast {
        world: Arc::clone(&deployment.world),
        // One more, for probes.
        people: deployment.people(extent.clients + 1).await.into(),
        lap,
    };
    for (number, planned) in lap.rounds.iter().enumerate() {
        let faults: Vec<_> = planned.iter().map(|planned| planned.fault).collect();
        report.enter(format!("{place}, round {number} {faults:?}"));
        let world = &cast.world;
        world.operations.store(0, Ordering::SeqCst);
        world.working.store(extent.clients as u64, Ordering::SeqCst);
        let mut clients = JoinSet::new();
        for client in 0..extent.clients {
            let client = cast.client(client, "clients", number);
            clients.spawn(client.work(extent.operations));
        }
        let mut probe = cast.client(extent.clients, "probes", number);
        faults::inject(deployment, &mut probe, planned).await?;
        while let Some(ended) = clients.join_next().await {
            if let Err(error) = ended {
                let said = error.try_into_panic().map(|panic| message(&*panic));
                let said = said.unwrap_or_default();
                report.finding("a client met what it could not understand", said);
            }
        }
        check::everything(world, cast.checkers(number)).await;
        Report::count(&report.rounds);
        report.progress();
        let is_over = deadline.is_some_and(|deadline| Instant::now() > deadline);
        if is_over || report.findings() > 0 && !go_on {
            break;
        }
    }
    report.enter(format!("{place}, end"));
    end(deployment, &cast).await?;
    report.progress();
    Ok(())
}

/// Brings every upload to its end or leaves it to the sweep, and looks at what is left.
async fn end(deployment: &mut Deployment, cast: &Cast<'_>) -> Result<(), Stuck> {
    let world = &cast.world;
    // Later than anything that was recorded, and than any lease.
    let latest = deployment.latest + LEASES;
    faults::jump(deployment, latest).await.map_err(Stuck)?;
    let mut closer = cast.client(0, "end", 0);
    let sessions = world.model().sessions();
    for id in sessions.iter().step_by(2) {
        closer.finish_session(*id).await;
    }
    deployment.sweep(Duration::ZERO).await;
    // Those that are left are gone now, or will be said to be.
    check::everything(world, cast.checkers(usize::MAX)).await;
    deployment.stop().await;
    check::disks(deployment);
    Ok(())
}
