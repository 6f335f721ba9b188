use std::sync::atomic::{AtomicU32, Ordering};

use database::testing::TestDatabase;
use database::{Database, sql};
use proptest::prelude::*;

use super::*;
use crate::accounts::login::{LoginError, Logins};
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{THROTTLE, context, hash, name, new_user, passwords};

const PASSWORD: &str = "correct: horse";

/// A server: shares the database and the time with others, and nothing else.
struct Replica {
    logins: Logins,
    context: Context,
}

impl Replica {
    fn new(context: &Context) -> Self {
        Self {
            logins: Logins::new(passwords(), THROTTLE, &context.clock),
            context: context.clone(),
        }
    }

    async fn from(&self, address: &str, username: &str, password: &str) -> Outcome {
        let mut context = self.context.clone();
        context.origin.address = Some(address.parse().unwrap());
        let login = self
            .logins
            .with_password(&context, username, password.into());
        match login.await {
            Ok(_) => In,
            Err(LoginError::WrongCredentials) => Wrong,
            Err(LoginError::Throttled { retry_after }) => Blocked(retry_after),
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    In,
    Wrong,
    Blocked(Duration),
}

use Outcome::{Blocked, In, Wrong};

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.7";

/// With alice and bob, and a clock that all share.
async fn server(database: &Database) -> Replica {
    let context = context(database);
    for username in ["alice", "bob"] {
        let mut new = new_user(username);
        new.password = Some(hash(PASSWORD).await);
        crate::testing::user(&context, new).await;
    }
    Replica::new(&context)
}

fn secs(seconds: u64) -> Outcome {
    Blocked(Duration::from_secs(seconds))
}

async fn count(database: &Database, table: &'static str) -> i64 {
    let mut tx = database.read().await.unwrap();
    match table {
        "login_failures" => sql!(
            &mut tx,
            fetch_one(i64,),
            "SELECT count(*) FROM login_failures"
        ),
        _ => sql!(
            &mut tx,
            fetch_one(i64,),
            "SELECT count(*) FROM known_networks"
        ),
    }
    .unwrap()
    .0
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn each_failure_blocks_for_twice_as_long(database: Database) {
        let server = server(&database).await;
        let clock = &server.context.clock;
        for username in ["alice", "nobody", "No Name!"] {
            for _ in 0..THROTTLE.threshold {
                assert_eq!(server.from(HERE, username, "wrong").await, Wrong, "{username}");
            }
            for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
                // Even the right password is not looked at.
                assert_eq!(server.from(HERE, username, PASSWORD).await, secs(wait), "{username}");
                clock.advance(Duration::from_secs(wait).saturating_sub(Duration::from_micros(1)));
                assert_eq!(
                    server.from(HERE, username, PASSWORD).await,
                    Blocked(Duration::from_micros(1))
                );
                clock.advance(Duration::from_micros(1));
                assert_eq!(server.from(HERE, username, "wrong").await, Wrong, "{username}");
            }
            // Some other network, so that the count of this one does not matter to the next.
            let mut tx = database.begin().await.unwrap();
            store::logins::forget(&mut tx, "address", HERE).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    async fn a_block_of_a_clock_that_was_put_back_is_over(database: Database) {
        let server = server(&database).await;
        for _ in 0..=THROTTLE.threshold {
            assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
            server.context.clock.advance(THROTTLE.max_delay);
        }
        assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
        server.context.clock.put_back(Duration::from_hours(5));
        // One attempt, which blocks as it should.
        assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
        let Blocked(retry_after) = server.from(HERE, "alice", PASSWORD).await else {
            panic!("not blocked");
        };
        assert!(retry_after <= THROTTLE.max_delay, "{retry_after:?}");
        server.context.clock.advance(retry_after);
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
    }

    async fn a_success_starts_afresh_and_failures_are_forgotten_after_a_day(database: Database) {
        let server = server(&database).await;
        let wrong = async |times: u32| {
            for _ in 0..times {
                assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
            }
        };
        wrong(THROTTLE.threshold - 1).await;
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        wrong(THROTTLE.threshold).await;
        assert_eq!(server.from(HERE, "alice", "wrong").await, secs(1));
        server.context.clock.advance(Duration::from_hours(24) + Duration::from_micros(1));
        wrong(THROTTLE.threshold).await;
        assert_eq!(server.from(HERE, "alice", "wrong").await, secs(1));
    }

    async fn who_is_known_here_is_not_locked_out_by_others(database: Database) {
        let server = server(&database).await;
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(server.from(HERE, "bob", PASSWORD).await, In);
        // Somebody guesses alice's password elsewhere, and everybody's from here.
        for _ in 0..THROTTLE.threshold {
            assert_eq!(server.from(ELSEWHERE, "alice", "wrong").await, Wrong);
        }
        for number in 0..THROTTLE.address_threshold {
            let victim = format!("user-{number}");
            assert_eq!(server.from(HERE, &victim, "wrong").await, Wrong);
        }
        assert_eq!(server.from(ELSEWHERE, "alice", PASSWORD).await, secs(1));
        assert_eq!(server.from(HERE, "stranger", "wrong").await, secs(1));
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(server.from(HERE, "bob", PASSWORD).await, In);
        // That alice has logged in here is no fresh start for who guesses there.
        assert_eq!(server.from(ELSEWHERE, "alice", "wrong").await, secs(1));
    }

    async fn guessing_where_the_victim_is_known_is_bounded_too(database: Database) {
        let server = server(&database).await;
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        for _ in 0..THROTTLE.threshold {
            assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
        }
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, secs(1));
        // But alice gets in from anywhere else, and others from here.
        assert_eq!(server.from(ELSEWHERE, "alice", PASSWORD).await, In);
        assert_eq!(server.from(HERE, "bob", PASSWORD).await, In);
        server.context.clock.advance(Duration::from_secs(1));
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong, "afresh");
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
    }

    async fn a_network_is_known_for_ninety_days_and_written_once_a_day(database: Database) {
        let server = server(&database).await;
        let seen = async || {
            let mut tx = database.read().await.unwrap();
            let row = store::logins::user(&mut tx, &name("alice"), Some(HERE)).await.unwrap();
            row.unwrap().seen_at.unwrap()
        };
        let first = server.context.clock.now();
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        server.context.clock.advance(Duration::from_hours(23));
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(seen().await, first);
        server.context.clock.advance(Duration::from_hours(1));
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(seen().await, first + TimeDelta::days(1));

        server.context.clock.advance(Duration::from_hours(24 * 90));
        for _ in 0..THROTTLE.threshold {
            assert_eq!(server.from(ELSEWHERE, "alice", "wrong").await, Wrong);
        }
        // One count for here, where alice is known to the last moment, one for elsewhere.
        assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
        server.context.clock.advance(Duration::from_micros(1));
        let Blocked(_) = server.from(HERE, "alice", PASSWORD).await else {
            panic!("nobody remembers that alice is known here");
        };
    }

    async fn wrong_logins_cost_a_handful_of_hashes(database: Database) {
        let looked_at = guess(&database, 1_000).await;
        assert!((24..50).contains(&looked_at), "{looked_at}");
    }

    async fn a_restart_forgets_nothing(database: Database) {
        let server = server(&database).await;
        for _ in 0..THROTTLE.threshold {
            assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
        }
        let restarted = Replica::new(&server.context);
        assert_eq!(restarted.from(HERE, "alice", PASSWORD).await, secs(1));
    }

    async fn replicas_count_together_and_let_one_through_at_a_time(database: Database) {
        let one = server(&database).await;
        let two = Replica::new(&one.context);
        for replica in [&one, &two, &one, &two, &one] {
            assert_eq!(replica.from(HERE, "alice", "wrong").await, Wrong);
        }
        assert_eq!(two.from(HERE, "alice", "wrong").await, secs(1));
        one.context.clock.advance(Duration::from_secs(1));
        // The block is over for one of those who wait for it.
        let looked_at = AtomicU32::new(0);
        let attempts = (0..20).map(|number| {
            let replica = if number % 2 == 0 { &one } else { &two };
            let looked_at = &looked_at;
            async move {
                if replica.from(HERE, "alice", "wrong").await == Wrong {
                    looked_at.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        futures_util::future::join_all(attempts).await;
        assert_eq!(looked_at.into_inner(), 1);
    }

    async fn who_gets_in_leaves_the_turn_of_the_network_to_others(database: Database) {
        let server = server(&database).await;
        for number in 0..THROTTLE.address_threshold {
            let victim = format!("user-{number}");
            assert_eq!(server.from(HERE, &victim, "wrong").await, Wrong);
        }
        server.context.clock.advance(Duration::from_secs(1));
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(server.from(HERE, "bob", PASSWORD).await, In);
    }

    async fn what_is_old_is_removed(database: Database) {
        let server = server(&database).await;
        assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
        assert_eq!(server.from(HERE, "bob", "wrong").await, Wrong);
        let purge = async || {
            let policy = crate::config::SessionSettings::default().policy();
            crate::jobs::purge(&database, &server.context.clock, policy).await.unwrap()
        };
        server.context.clock.advance(Duration::from_hours(24));
        assert_eq!(purge().await, 0);
        server.context.clock.advance(Duration::from_micros(1));
        assert_eq!(purge().await, 2, "of the account and of the network");
        assert_eq!(count(&database, "login_failures").await, 0);
        server.context.clock.advance(Duration::from_hours(24 * 90));
        assert_eq!(purge().await, 1);
        assert_eq!(count(&database, "known_networks").await, 0);
    }

    async fn names_of_any_kind_are_counted_in_bounded_keys(database: Database) {
        let server = server(&database).await;
        for username in ["", "\0", "a\0b", &"x".repeat(100_000), "\u{202e}☃", "a b", "'; --"] {
            assert_eq!(server.from(HERE, username, "wrong").await, Wrong, "{username:.20}");
        }
        let mut tx = database.read().await.unwrap();
        let (longest,) =
            sql!(&mut tx, fetch_one(i64,), "SELECT CAST(max(length(key)) AS BIGINT) FROM login_failures").unwrap();
        assert!(longest <= 64, "{longest}");
    }
}

#[tokio::test]
async fn ten_thousand_wrong_logins_cost_a_handful_of_hashes() {
    let test = TestDatabase::sqlite(&SQLITE).await;
    let looked_at = guess(&test.database, 10_000).await;
    assert!((24..50).contains(&looked_at), "{looked_at}");
}

/// Guesses in the course of two hours, and the number of those that a password was looked at for.
async fn guess(database: &Database, guesses: u32) -> u32 {
    let server = server(database).await;
    let mut looked_at = 0;
    for number in 0..guesses {
        server
            .context
            .clock
            .advance(Duration::from_hours(2) / guesses);
        let username = if number % 2 == 0 { "alice" } else { "somebody" };
        match server.from(ELSEWHERE, username, "wrong").await {
            Wrong => looked_at += 1,
            Blocked(_) => {}
            In => panic!("in"),
        }
    }
    assert_eq!(
        count(database, "login_failures").await,
        3,
        "two names, one network"
    );
    // The log has as many of them as somebody may read.
    let mut tx = database.read().await.unwrap();
    let statement = "SELECT count(*) FROM audit_events WHERE outcome = 'failure'";
    let (events,) = sql!(&mut tx, fetch_one(i64,), statement).unwrap();
    assert!((500..=3_650).contains(&events), "{events}");
    drop(tx);
    // bob, who has nothing to do with it, logs in from another place.
    assert_eq!(server.from(HERE, "bob", PASSWORD).await, In);
    looked_at
}

/// The order in which rows are locked must not let two servers wait for each other.
#[tokio::test]
async fn failures_of_many_accounts_from_one_network_do_not_deadlock() {
    let test = TestDatabase::postgres(&POSTGRES).await;
    let server = server(&test.database).await;
    assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
    let attempts = (0..40).map(|number| {
        let server = &server;
        async move {
            let username = ["alice", "bob", "nobody"][number % 3];
            server.from(HERE, username, "wrong").await
        }
    });
    for outcome in futures_util::future::join_all(attempts).await {
        assert_ne!(outcome, In);
    }
}

/// With an account that has failed before, one that has not, and no room left.
async fn full() -> (database::small_disk::SmallDisk, Replica, std::path::PathBuf) {
    let disk = database::small_disk::SmallDisk::new("4m");
    let database = disk.database(&SQLITE).await;
    let server = server(&database).await;
    for _ in 0..2 {
        assert_eq!(server.from(HERE, "bob", "wrong").await, Wrong);
    }
    let filler = disk.fill();
    (disk, server, filler)
}

#[tokio::test]
async fn guessing_is_not_free_while_nothing_can_be_stored() {
    let (_disk, server, filler) = full().await;
    let clock = &server.context.clock;
    for (username, free) in [
        ("alice", THROTTLE.threshold),
        ("bob", THROTTLE.threshold - 2),
    ] {
        for _ in 0..free {
            assert_eq!(
                server.from(HERE, username, "wrong").await,
                Wrong,
                "{username}"
            );
        }
        for wait in [1, 2, 4, 8] {
            // Even the right password is not looked at.
            assert_eq!(
                server.from(HERE, username, PASSWORD).await,
                secs(wait),
                "{username}"
            );
            clock.advance(Duration::from_secs(wait));
            assert_eq!(
                server.from(HERE, username, "wrong").await,
                Wrong,
                "{username}"
            );
        }
    }
    // The right one is let in when its time has come, and starts afresh.
    clock.advance(Duration::from_secs(16));
    assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);
    assert_eq!(server.from(HERE, "alice", "wrong").await, Wrong);
    assert_eq!(server.from(HERE, "alice", PASSWORD).await, In);

    // What was counted in between counts on when there is room again.
    std::fs::remove_file(filler).unwrap();
    clock.advance(Duration::from_secs(16));
    assert_eq!(server.from(HERE, "bob", "wrong").await, Wrong);
    assert!(matches!(
        server.from(HERE, "bob", PASSWORD).await,
        Blocked(_)
    ));
}

#[tokio::test]
async fn many_at_once_get_one_guess_while_nothing_can_be_stored() {
    let (_disk, server, _filler) = full().await;
    for _ in 0..THROTTLE.threshold {
        server.from(HERE, "alice", "wrong").await;
    }
    server.context.clock.advance(Duration::from_secs(1));
    let guesses = (0..20).map(|_| server.from(HERE, "alice", "wrong"));
    let outcomes = futures_util::future::join_all(guesses).await;
    let looked_at = outcomes.iter().filter(|outcome| **outcome == Wrong);
    assert_eq!(looked_at.count(), 1, "{outcomes:?}");
}

#[test]
fn counts_in_memory_are_bounded_and_none_is_free() {
    let unwritten = Unwritten::default();
    let now = crate::testing::clock().now();
    let fail = |key: &str| {
        let second = Some(Duration::from_secs(1));
        unwritten.fail(Kind::Account, key, now, |failures| {
            second.filter(|_| failures > 3)
        });
    };
    for index in 0..20_000 {
        fail(&format!("user {index}"));
    }
    // Those that came too late for a count of their own are blocked together.
    let late = unwritten.find(Kind::Account, "user 19999", now).unwrap();
    assert!(late.blocked_until.is_some());
    let early = unwritten.find(Kind::Account, "user 0", now).unwrap();
    assert_eq!((early.failures, early.blocked_until), (1, None));
    assert!(
        unwritten
            .find(Kind::Known, "somebody known here", now)
            .is_none()
    );
    fail("another");
    unwritten.forget(Kind::Account, "another");
    assert!(unwritten.find(Kind::Account, "another", now).is_some());
}

#[test]
fn a_client_cannot_choose_another_network() {
    for (address, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "0:0:0:0::/64"),
    ] {
        assert_eq!(network(address.parse().unwrap()), expected);
    }
}

proptest! {
    #[test]
    fn delays_never_shrink_and_have_their_bounds(failures in 0_i64..i64::MAX / 2) {
        for kind in [Kind::Account, Kind::Address, Kind::Known] {
            let (this, next) = (THROTTLE.delay(kind, failures), THROTTLE.delay(kind, failures + 1));
            prop_assert!(this <= next);
            if let Some(delay) = this {
                prop_assert!(delay >= THROTTLE.base_delay && delay <= THROTTLE.max_delay);
            }
        }
        prop_assert_eq!(THROTTLE.delay(Kind::Account, 4), None);
        prop_assert_eq!(THROTTLE.delay(Kind::Account, 5), Some(THROTTLE.base_delay));
        prop_assert_eq!(THROTTLE.delay(Kind::Address, 19), None);
    }
}
