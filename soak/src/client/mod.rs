//! Clients: what they do is drawn from a generator, what they are told goes into the model.
//!
//! Each is one user with two repositories of its own, where nobody else writes, so that what it knows of
//! them is exact. One repository they all write to.
//!
//! - [`requests`] sends, and judges whether an answer may be as it is;
//! - [`sessions`], [`races`], [`blobs`], [`manifests`], [`credentials`] are what is done;
//! - [`observe`] reads one thing and compares it with what was promised.

mod blobs;
mod credentials;
mod manifests;
mod observe;
mod races;
mod requests;
mod sessions;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use acceptance::Client as Http;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::report::Report;
use crate::weather::Trouble;
use crate::world::World;

/// Who the clients are to the servers.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub password: String,
    /// A personal token that lasts.
    pub token: String,
}

#[derive(Debug)]
pub struct Client {
    world: Arc<World>,
    number: usize,
    person: Person,
    people: Arc<[Person]>,
    http: Http,
    random: StdRng,
    /// By user and scope.
    bearers: HashMap<(String, String), String>,
    /// Things that need a name nobody had.
    names: u64,
    /// What makes these names its own.
    place: String,
}

/// The repository that everybody writes to, as its owner.
const SHARED: &str = "shared";

/// The tags that each uses again and again.
const TAGS: [&str; 5] = ["latest", "v1", "v2", "edge", "stable"];

impl Client {
    pub fn new(world: &Arc<World>, number: usize, people: &Arc<[Person]>, random: StdRng) -> Self {
        Self {
            world: Arc::clone(world),
            number,
            person: people[number].clone(),
            people: Arc::clone(people),
            http: Http::new(&world.registry),
            random,
            bearers: HashMap::new(),
            names: 0,
            place: String::new(),
        }
    }

    /// For names that no other round used.
    #[must_use]
    pub fn in_round(mut self, lap: u64, round: usize, purpose: &str) -> Self {
        self.place = format!("{purpose}-{lap}-{round}-{}", self.number);
        self
    }

    /// So many operations, one after the other.
    pub async fn work(mut self, operations: u64) {
        for _ in 0..operations {
            self.world.weather.wait_until_up().await;
            self.world.operations.fetch_add(1, Ordering::SeqCst);
            Box::pin(self.one()).await;
            if self.world.weather.is(Trouble::NoDatabase) {
                // All is refused at once: whoever comes again at once has no time to see it end.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.world.working.fetch_sub(1, Ordering::SeqCst);
    }

    async fn one(&mut self) {
        let own = self.own();
        match self.random.random_range(0..100) {
            0..20 => self.push_image(&own).await,
            20..26 => self.leave_session(&own).await,
            26..38 => self.resume_session().await,
            38..41 => self.cancel_session().await,
            41..44 => self.duel(&own).await,
            44..48 => self.delete_tag(&own).await,
            48..52 => self.delete_manifest(&own).await,
            52..56 => self.delete_blob(&own).await,
            56..61 => self.mount().await,
            61..72 => self.pull(&own).await,
            72..76 => self.look_at_some_blob(&own).await,
            76..79 => self.list_tags(&own).await,
            79..85 => self.put_shared_tag().await,
            85..87 => self.delete_shared_tag().await,
            87..91 => self.look_at_shared_tag().await,
            91..93 => self.log_in().await,
            93..96 => self.look_at_some_credential().await,
            96..98 => {
                self.make_personal_token().await;
            }
            98..99 => self.revoke_personal_token().await,
            _ => self.end_all_sessions().await,
        }
    }

    /// One of the two repositories of its own.
    fn own(&mut self) -> String {
        let which = ["one", "two"][self.random.random_range(0..2)];
        format!("{}/{which}", self.person.name)
    }

    fn shared(&self) -> String {
        format!("{}/{SHARED}", self.people[0].name)
    }

    /// Whose repository it is.
    fn owner(&self, repository: &str) -> Person {
        let (name, _) = repository.split_once('/').unwrap();
        let owner = self.people.iter().find(|person| person.name == name);
        owner.unwrap().clone()
    }

    fn unused_name(&mut self) -> String {
        self.names += 1;
        format!("{}-{}", self.place, self.names)
    }

    /// One of these.
    fn choose<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..from.len());
        Some(from[index].clone())
    }

    fn finding(&self, what: &str, details: impl std::fmt::Display) {
        self.world.report.finding(what, details);
    }

    fn checked(&self) {
        Report::count(&self.world.report.checks);
    }
}
