//! What is going to happen, decided from one seed before anything does.
//!
//! A soak is a series of laps, on `SQLite` and `PostgreSQL` by turns. A lap begins with an empty
//! registry and goes through rounds; a round has clients at work, and faults that come when so many
//! operations have been done. Everything in a lap follows from the seed and the lap's number, so one
//! lap can be replayed without those before it.

use std::collections::BTreeSet;
use std::time::Duration;

use acceptance::Databases;
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// SIGKILL in the middle of everything
    Kill,
    /// The same, and what had not reached the disks is lost
    PowerCut,
    /// SIGTERM, and a start
    Stop,
    /// SIGHUP, again and again
    Reload,
    /// A disk without room, for a while or during a start
    FullDisk,
    /// Blobs on a disk that cannot be written, for a while
    ReadOnlyDisk,
    /// `PostgreSQL` drops everybody, or refuses for a while
    LostDatabase,
    /// A start at another time
    ClockJump,
    /// A second server on the same data
    SecondStart,
    /// `portcullis registry sweep` beside the server
    Sweep,
}

/// Which of two servers dies; both are one process with `up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Registry,
    Auth,
    Both,
}

/// Which disk has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// That of databases and keys.
    Data,
    Blobs,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill(Victim),
    PowerCut,
    Stop,
    Reload {
        times: u32,
    },
    FullDisk {
        which: Full,
        operations: u64,
    },
    /// Killed and started while the disk is full.
    StartOnFullDisk {
        which: Full,
        operations: u64,
    },
    ReadOnlyDisk {
        operations: u64,
    },
    /// All connections end at once.
    DatabaseDrops,
    /// Nobody gets in for a while.
    DatabaseRefuses {
        operations: u64,
    },
    /// Seconds from the true time.
    ClockJump {
        offset: i64,
    },
    SecondStart,
    Sweep {
        older_than: Duration,
    },
}

impl Fault {
    pub fn kind(self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::PowerCut => Kind::PowerCut,
            Self::Stop => Kind::Stop,
            Self::Reload { .. } => Kind::Reload,
            Self::FullDisk { .. } | Self::StartOnFullDisk { .. } => Kind::FullDisk,
            Self::ReadOnlyDisk { .. } => Kind::ReadOnlyDisk,
            Self::DatabaseDrops | Self::DatabaseRefuses { .. } => Kind::LostDatabase,
            Self::ClockJump { .. } => Kind::ClockJump,
            Self::SecondStart => Kind::SecondStart,
            Self::Sweep { .. } => Kind::Sweep,
        }
    }
}

/// A fault, and when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When all clients together have begun this many operations of the round.
    pub after: u64,
    /// And this much later, so that it does not always hit a beginning.
    pub pause: Duration,
    pub fault: Fault,
}

/// How much of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub clients: usize,
    /// Of each client in each round.
    pub operations: u64,
    /// In a lap.
    pub rounds: usize,
    pub kinds: BTreeSet<Kind>,
}

/// What happens from an empty registry to a swept one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lap {
    pub number: u64,
    pub database: Databases,
    pub rounds: Vec<Vec<Planned>>,
    seed: u64,
}

impl Lap {
    pub fn new(seed: u64, number: u64, databases: &[Databases], extent: &Extent) -> Self {
        let turn = usize::try_from(number).unwrap() % databases.len();
        let database = databases[turn];
        let mut lap = Self {
            number,
            database,
            rounds: Vec::new(),
            seed,
        };
        let kinds = possible(&extent.kinds, database);
        let mut random = lap.random("faults", 0, 0);
        // Each kind once before any comes again.
        let mut deck = Vec::new();
        for _ in 0..extent.rounds {
            let faults = if kinds.is_empty() {
                0
            } else {
                random.random_range(1..=3)
            };
            let total = extent.operations * extent.clients as u64;
            let mut moments: Vec<u64> = (0..faults)
                .map(|_| random.random_range(1..=total))
                .collect();
            moments.sort_unstable();
            let round = moments.into_iter().map(|after| {
                if deck.is_empty() {
                    deck.clone_from(&kinds);
                }
                let kind = deck.swap_remove(random.random_range(0..deck.len()));
                Planned {
                    after,
                    pause: Duration::from_micros(random.random_range(0..30_000)),
                    fault: fault(kind, total, database, &mut random),
                }
            });
            lap.rounds.push(round.collect());
        }
        lap
    }

    /// A generator for one purpose: what is taken from it changes no other.
    pub fn random(&self, purpose: &str, round: usize, client: usize) -> StdRng {
        let label = format!("{} {} {purpose} {round} {client}", self.seed, self.number);
        StdRng::from_seed(Sha256::digest(label).into())
    }
}

/// `SQLite` is no server that could be lost.
fn possible(kinds: &BTreeSet<Kind>, database: Databases) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = kinds.iter().copied().collect();
    if database == Databases::Sqlite {
        kinds.retain(|kind| *kind != Kind::LostDatabase);
    } else {
        // One data folder has one server; a registry on PostgreSQL may have many.
        kinds.retain(|kind| *kind != Kind::SecondStart);
    }
    kinds
}

fn fault(kind: Kind, total: u64, database: Databases, random: &mut StdRng) -> Fault {
    let operations = random.random_range(total / 10 + 1..=total / 2 + 1);
    match kind {
        Kind::Kill => Fault::Kill(match random.random_range(0..4) {
            0 => Victim::Auth,
            1 => Victim::Both,
            _ => Victim::Registry,
        }),
        Kind::PowerCut => Fault::PowerCut,
        Kind::Stop => Fault::Stop,
        Kind::Reload => Fault::Reload {
            times: random.random_range(1..=20),
        },
        Kind::FullDisk => {
            let which = match (database, random.random_range(0..3)) {
                (Databases::Sqlite, 0) => Full::Data,
                (Databases::Sqlite, 1) => Full::Both,
                _ => Full::Blobs,
            };
            if random.random_bool(0.3) {
                Fault::StartOnFullDisk { which, operations }
            } else {
                Fault::FullDisk { which, operations }
            }
        }
        Kind::ReadOnlyDisk => Fault::ReadOnlyDisk { operations },
        Kind::LostDatabase => {
            if random.random_bool(0.5) {
                Fault::DatabaseDrops
            } else {
                Fault::DatabaseRefuses { operations }
            }
        }
        Kind::ClockJump => Fault::ClockJump {
            // Within a few hours: an upload's authorization, tokens and certificates allow for that.
            offset: random.random_range(-2 * 3600..=10 * 3600),
        },
        Kind::SecondStart => Fault::SecondStart,
        Kind::Sweep => Fault::Sweep {
            older_than: Duration::from_secs([10, 10, 60, 600][random.random_range(0..4)]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent() -> Extent {
        Extent {
            clients: 4,
            operations: 30,
            rounds: 40,
            kinds: Kind::value_variants().iter().copied().collect(),
        }
    }

    #[test]
    fn a_seed_replays() {
        for database in [Databases::Sqlite, Databases::Postgres] {
            let lap = Lap::new(7, 3, &[database], &extent());
            assert_eq!(lap, Lap::new(7, 3, &[database], &extent()));
            let again = Lap::new(7, 3, &[database], &extent());
            let number: u64 = lap.random("client", 1, 2).random();
            assert_eq!(number, again.random("client", 1, 2).random::<u64>());
        }
    }

    #[test]
    fn another_lap_or_seed_is_another_plan() {
        let databases = [Databases::Sqlite];
        let rounds = |seed, number| Lap::new(seed, number, &databases, &extent()).rounds;
        assert_ne!(rounds(7, 3), rounds(7, 4));
        assert_ne!(rounds(7, 3), rounds(8, 3));
    }

    #[test]
    fn every_kind_of_fault_comes_where_it_can() {
        for (database, missing) in [
            (Databases::Sqlite, Kind::LostDatabase),
            (Databases::Postgres, Kind::SecondStart),
        ] {
            let lap = Lap::new(1, 0, &[database], &extent());
            let faults = lap.rounds.iter().flatten();
            let seen: BTreeSet<Kind> = faults.map(|planned| planned.fault.kind()).collect();
            let mut expected = extent().kinds;
            expected.remove(&missing);
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn faults_come_while_clients_are_at_work() {
        let lap = Lap::new(1, 0, &[Databases::Postgres], &extent());
        for planned in lap.rounds.iter().flatten() {
            assert!((1..=120).contains(&planned.after), "{planned:?}");
        }
    }
}
