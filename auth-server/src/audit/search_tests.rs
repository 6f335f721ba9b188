use std::time::{Duration, Instant};

use database::{Database, Tx, sql, test_on_both};
use futures_util::TryStreamExt as _;

use super::*;
use crate::audit::{Actor, Event, Origin, Subject, retention};
use crate::clock::Clock;
use crate::context::Context;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::clock;

fn origin(actor: &str, address: &str) -> Origin {
    Origin {
        address: Some(address.parse().unwrap()),
        ..Origin::local(Actor::anonymous(actor))
    }
}

fn context(database: &Database, clock: &Clock) -> Context {
    Context {
        database: database.clone(),
        clock: clock.clone(),
        origin: Origin::local(Actor::system()),
    }
}

/// A minute apart.
async fn record(database: &Database, clock: &Clock, origin: Origin, event: &Event) {
    let context = Context {
        origin,
        ..context(database, clock)
    };
    let mut tx = database.begin().await.unwrap();
    context.record(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
    clock.advance(Duration::from_mins(1));
}

async fn fill(database: &Database, clock: &Clock) {
    let user = |name: &str| Subject::new("user", None, name);
    let key = Subject::new("key", None, "k");
    for (actor, address, event) in [
        (
            "admin",
            "10.0.0.1",
            Event::success(Action::UserCreate, user("alice")),
        ),
        (
            "admin",
            "10.0.0.1",
            Event::success(Action::UserDisable, user("bob")),
        ),
        (
            "alice",
            "10.0.0.2",
            Event::success(Action::Login, user("alice")),
        ),
        (
            "bob",
            "fe80::2",
            Event::failure(Action::Login, Some(user("bob")), "disabled"),
        ),
        (
            "alice",
            "10.0.0.2",
            Event::failure(Action::UserDelete, Some(user("bob")), "no"),
        ),
        ("alice", "10.0.0.2", Event::success(Action::KeyRetire, key)),
    ] {
        record(database, clock, origin(actor, address), &event).await;
    }
}

async fn found(database: &Database, filter: &AuditFilter) -> Vec<i64> {
    let page = search(database, filter, None, 50).await.unwrap();
    assert_eq!(usize::try_from(page.total).unwrap(), page.entries.len());
    let mut numbers: Vec<i64> = page.entries.iter().map(|entry| entry.number).collect();
    assert!(numbers.is_sorted_by(|one, two| one > two), "{numbers:?}");
    let batches: Vec<Vec<AuditEntry>> = stream(database.clone(), filter, 0)
        .try_collect()
        .await
        .unwrap();
    numbers.reverse();
    let streamed: Vec<i64> = batches.concat().iter().map(|entry| entry.number).collect();
    assert_eq!(streamed, numbers, "a page and a stream find the same");
    numbers
}

fn action(text: &str) -> AuditFilter {
    AuditFilter {
        action: Some(text.parse().unwrap()),
        ..AuditFilter::default()
    }
}

test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn every_filter_finds_what_it_says_and_all_together_too(database: Database) {
        let clock = clock();
        let start = clock.now();
        fill(&database, &clock).await;
        let all = AuditFilter::default();
        assert_eq!(found(&database, &all).await, [1, 2, 3, 4, 5, 6]);
        assert_eq!(found(&database, &action("user.create")).await, [1]);
        for user in ["user", "user.", "user.*"] {
            assert_eq!(found(&database, &action(user)).await, [1, 2, 5], "{user}");
        }
        assert_eq!(found(&database, &action("login")).await, [3, 4]);
        assert_eq!(found(&database, &action("use")).await, [0_i64; 0]);
        let actor = AuditFilter { actor: Some("alice".to_owned()), ..all.clone() };
        assert_eq!(found(&database, &actor).await, [3, 5, 6]);
        let subject = AuditFilter { subject: Some("bob".to_owned()), ..all.clone() };
        assert_eq!(found(&database, &subject).await, [2, 4, 5]);
        let failure = AuditFilter { outcome: Some(Outcome::Failure), ..all.clone() };
        assert_eq!(found(&database, &failure).await, [4, 5]);
        let success = AuditFilter { outcome: Some(Outcome::Success), ..all.clone() };
        assert_eq!(found(&database, &success).await, [1, 2, 3, 6]);
        let address = AuditFilter { address: Some("fe80:0::2".parse().unwrap()), ..all.clone() };
        assert_eq!(found(&database, &address).await, [4]);
        let since = Some(start + Duration::from_mins(2));
        let until = Some(start + Duration::from_mins(4));
        let period = AuditFilter { since, until, ..all.clone() };
        assert_eq!(found(&database, &period).await, [3, 4]);
        let everything = AuditFilter {
            action: action("user").action,
            actor: actor.actor,
            subject: subject.subject,
            outcome: failure.outcome,
            address: Some("10.0.0.2".parse().unwrap()),
            since,
            until: Some(clock.now()),
        };
        assert_eq!(found(&database, &everything).await, [5]);
    }

    async fn what_a_client_writes_is_a_value_and_never_a_statement(database: Database) {
        fill(&database, &clock()).await;
        for text in ["' OR '1'='1", "%", "alice'; DELETE FROM audit_events; --", "$1", "\\"] {
            let text = Some(text.to_owned());
            let filter = AuditFilter { actor: text.clone(), ..AuditFilter::default() };
            assert!(found(&database, &filter).await.is_empty());
            let filter = AuditFilter { subject: text, ..AuditFilter::default() };
            assert!(found(&database, &filter).await.is_empty());
        }
        assert_eq!(found(&database, &AuditFilter::default()).await.len(), 6);
    }

    async fn pages_follow_each_other_without_gap_or_repetition(database: Database) {
        fill(&database, &clock()).await;
        let mut seen = Vec::new();
        let mut below = None;
        loop {
            let page = search(&database, &AuditFilter::default(), below, 4).await.unwrap();
            assert_eq!(page.total, 6);
            seen.extend(page.entries.iter().map(|entry| entry.number));
            below = seen.last().copied();
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, [6, 5, 4, 3, 2, 1]);
    }

    async fn an_entry_says_all_that_was_recorded(database: Database) {
        let id = Uuid::from_u128(7);
        let event = Event::success(Action::UserUpdate, Subject::new("user", Some(id), "alice"))
            .before(serde_json::json!({"admin": false}))
            .after(serde_json::json!({"admin": true}))
            .because("asked for");
        let mut origin = origin("root", "::1");
        origin.user_agent = Some("curl".to_owned());
        origin.request_id = Some("r1".to_owned());
        record(&database, &clock(), origin, &event).await;
        let page = search(&database, &AuditFilter::default(), None, 1).await.unwrap();
        let expected = serde_json::json!({
            "number": 1,
            "at": clock().now(),
            "action": "user.update",
            "outcome": "success",
            "actor": {"kind": "anonymous", "id": null, "name": "root"},
            "subject": {"kind": "user", "id": id, "name": "alice"},
            "address": "::1",
            "user_agent": "curl",
            "request_id": "r1",
            "reason": "asked for",
            "before": {"admin": false},
            "after": {"admin": true},
        });
        assert_eq!(serde_json::to_value(&page.entries[0]).unwrap(), expected);
    }

    async fn a_stream_of_many_batches_is_complete(database: Database) {
        many(&database, 1_234).await;
        let all = AuditFilter::default();
        let batches: Vec<Vec<AuditEntry>> =
            stream(database.clone(), &all, 0).try_collect().await.unwrap();
        let longest = batches.iter().map(Vec::len).max().unwrap();
        assert!(i64::try_from(longest).unwrap() <= BATCH);
        assert_eq!(batches.concat().len(), 1_234);
        let rest: Vec<Vec<AuditEntry>> =
            stream(database.clone(), &all, 1_000).try_collect().await.unwrap();
        assert_eq!(rest.concat().len(), 234);
    }

    async fn events_end_with_their_time_and_that_is_an_event(database: Database) {
        let clock = clock();
        fill(&database, &clock).await;
        let context = context(&database, &clock);
        let year = Duration::from_hours(365 * 24);
        assert_eq!(retention::purge(&context, year).await.unwrap(), 0);
        assert_eq!(found(&database, &AuditFilter::default()).await.len(), 6);
        // It is six minutes since the first. Half a minute more, and three are older than a year.
        clock.advance(year.saturating_sub(Duration::from_secs(210)));
        assert_eq!(retention::purge(&context, year).await.unwrap(), 3);
        let page = search(&database, &AuditFilter::default(), None, 9).await.unwrap();
        assert_eq!(page.total, 4);
        let purge = &page.entries[0];
        assert_eq!((purge.action.as_str(), purge.actor.kind.as_str()), ("audit.purge", "system"));
        assert_eq!(purge.after.as_ref().unwrap()["removed"], 3);
        assert_eq!(retention::purge(&context, year).await.unwrap(), 0);
        assert_eq!(retention::purge(&context, Duration::MAX).await.unwrap(), 0);
    }

    async fn a_hundred_thousand_events_are_searched_in_no_time(database: Database) {
        many(&database, 100_000).await;
        let all = AuditFilter::default;
        let start = clock().now();
        let begun = Instant::now();
        let mut tx = database.read().await.unwrap();
        let all_rows = "SELECT number, actor_name FROM audit_events";
        let rows: Vec<(i64, String)> = sql!(&mut tx, fetch_all(i64, String), all_rows).unwrap();
        let everything = begun.elapsed();
        assert_eq!(rows.len(), 100_000);
        drop(tx);
        for (name, filter) in [
            ("nothing", all()),
            ("an action", action("token.refuse")),
            ("a word", action("user")),
            ("what most are", action("login")),
            ("an actor", AuditFilter { actor: Some("user7".to_owned()), ..all() }),
            ("a subject", AuditFilter { subject: Some("user7".to_owned()), ..all() }),
            ("failures", AuditFilter { outcome: Some(Outcome::Failure), ..all() }),
            ("successes", AuditFilter { outcome: Some(Outcome::Success), ..all() }),
            ("an address", AuditFilter { address: Some("10.0.0.7".parse().unwrap()), ..all() }),
            ("a period", AuditFilter {
                since: Some(start + Duration::from_secs(50_000)),
                until: Some(start + Duration::from_secs(53_600)),
                ..all()
            }),
            ("an actor's failures", AuditFilter {
                actor: Some("user7".to_owned()),
                outcome: Some(Outcome::Failure),
                ..all()
            }),
            ("what an actor mostly does", AuditFilter {
                actor: Some("user7".to_owned()),
                outcome: Some(Outcome::Success),
                ..action("login")
            }),
            ("a word's successes", AuditFilter {
                outcome: Some(Outcome::Success),
                since: Some(start + Duration::from_hours(2)),
                ..action("user")
            }),
            ("an action lately", AuditFilter {
                since: Some(start + Duration::from_hours(25)),
                ..action("login")
            }),
        ] {
            for below in [None, Some(50_000)] {
                let mut times = Vec::new();
                for _ in 0..7 {
                    let begun = Instant::now();
                    search(&database, &filter, below, 50).await.unwrap();
                    times.push(begun.elapsed());
                }
                times.sort();
                println!("{name} below {below:?}: {:?} to {:?}", times[0], times[6]);
                // `make bench` knows how long it takes; here, that it does not read everything.
                assert!(times[0] < everything, "{name}: {times:?}, not {everything:?}");
            }
        }
    }
}

/// So many events, a second apart, of a hundred users.
async fn many(database: &Database, count: i64) {
    let mut tx = database.begin().await.unwrap();
    let begin = clock().now();
    match &mut tx {
        Tx::Postgres(_) => sql!(
            &mut tx,
            execute,
            "INSERT INTO audit_events (at, action, outcome, actor_kind, actor_name, subject_kind,
                                       subject_name, address, user_agent, request_id, state_after)
             SELECT $2 + n * interval '1 second',
                    CASE n % 20 WHEN 0 THEN 'user.update' WHEN 1 THEN 'token.refuse'
                                ELSE 'login' END,
                    CASE n % 20 WHEN 1 THEN 'failure' ELSE 'success' END,
                    'user', 'user' || n % 100, 'user', 'user' || n % 100, '10.0.0.' || n % 100,
                    'docker/27.0', 'request-' || n, '{\"username\": \"somebody\"}'
             FROM generate_series(1, $1) AS series (n)",
            count,
            begin
        ),
        Tx::Sqlite(_) => sql!(
            &mut tx,
            execute,
            "WITH RECURSIVE series (n) AS
                 (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < $1)
             INSERT INTO audit_events (at, action, outcome, actor_kind, actor_name, subject_kind,
                                       subject_name, address, user_agent, request_id, state_after)
             SELECT strftime('%Y-%m-%dT%H:%M:%S', $2, n || ' seconds') || '+00:00',
                    CASE n % 20 WHEN 0 THEN 'user.update' WHEN 1 THEN 'token.refuse'
                                ELSE 'login' END,
                    CASE n % 20 WHEN 1 THEN 'failure' ELSE 'success' END,
                    'user', 'user' || n % 100, 'user', 'user' || n % 100, '10.0.0.' || n % 100,
                    'docker/27.0', 'request-' || n, '{\"username\": \"somebody\"}'
             FROM series",
            count,
            begin
        ),
    }
    .unwrap();
    tx.commit().await.unwrap();
    if let Database::Postgres(_) = database {
        // As autovacuum does it, sooner or later.
        let mut tx = database.read().await.unwrap();
        sql!(&mut tx, execute, "VACUUM ANALYZE audit_events").unwrap();
    }
}

#[test]
fn an_action_that_cannot_be_is_refused() {
    for text in [
        "",
        ".",
        "*",
        "User",
        "user create",
        "user%",
        "a'b",
        &"a".repeat(65),
    ] {
        assert!(text.parse::<ActionFilter>().is_err(), "{text}");
    }
}
