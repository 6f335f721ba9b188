//! Several auth-servers on one `PostgreSQL` database, and transactions that end in another order
//! than they began.

use std::time::Duration;

use acceptance::{Client, Invocation, Running, fresh_postgres};
use serde_json::Value;

use crate::key_rotation::replica;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn passwords_are_not_guessed_faster_at_two_servers_than_at_one() {
    /// `login.threshold`
    const FREE: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let database = fresh_postgres();
    let servers = [
        replica(path, "one", &database).await,
        replica(path, "two", &database).await,
    ];
    let guess = async |server: usize, name: &str| {
        let client = Client::new(servers[server].origin());
        let query = "/auth/token?service=portcullis-registry";
        client.get(query).basic(name, "a guess").send().await
    };

    // Each that is not free blocks for twice as long, wherever it is made: until the block is long
    // enough to look at it.
    let mut wrong = 0;
    while wrong < FREE + 3 {
        let answer = guess(wrong % 2, "admin").await;
        if answer.status == 429 {
            let seconds = answer.header("retry-after").parse().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        } else {
            answer.expect(401);
            wrong += 1;
        }
    }
    for server in [0, 1] {
        let refused = guess(server, "admin").await.expect(429);
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((4..=8).contains(&seconds), "{seconds}");
        // Of another account nothing is known yet.
        guess(server, "alice").await.expect(401);
    }
}

#[tokio::test]
async fn following_the_audit_log_misses_nothing_that_is_committed_late() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let database = fresh_postgres();
    let _server = replica(path, "one", &database).await;
    let command = |arguments: &[&str]| {
        Invocation::portcullis()
            .args(arguments)
            .arg("--config")
            .arg(path.join("one.yml"))
    };
    let create = |group: &str| {
        command(&["auth", "group", "create", group])
            .run()
            .expect_success();
    };
    let (_follower, lines) = Running::start(&command(&["auth", "audit", "--follow"]));
    let mut seen = Vec::new();
    let mut wait_for = |name: &str| {
        loop {
            let line = lines.recv_timeout(PATIENCE).expect(name);
            let event: Value = serde_json::from_str(&line).unwrap();
            let subject = event["subject"]["name"].as_str().unwrap().to_owned();
            seen.push(subject);
            if seen.last().unwrap() == name {
                return seen.clone();
            }
        }
    };
    // It follows once it has shown one.
    let mut number = 0;
    let follows = loop {
        create(&format!("begin{number}"));
        if let Ok(line) = lines.recv_timeout(Duration::from_secs(3)) {
            break line;
        }
        number += 1;
    };
    assert!(follows.contains("group.create"), "{follows}");

    let psql = Invocation::new("psql").args(["--no-psqlrc", "--quiet", &database]);
    let (mut late, answers) = Running::start(&psql);
    late.say("BEGIN;");
    late.say(
        "INSERT INTO audit_events (at, action, outcome, actor_kind, actor_name, subject_kind, \
         subject_name) VALUES (now(), 'group.create', 'success', 'operator', 'somebody', 'group', \
         'late') \
         RETURNING 'written';",
    );
    while !answers.recv_timeout(PATIENCE).unwrap().contains("written") {}
    create("early");
    wait_for("early");
    late.say("COMMIT;");
    wait_for("late");
    create("end");
    let seen = wait_for("end");

    for name in ["early", "late", "end"] {
        let times = seen.iter().filter(|seen| *seen == name).count();
        assert_eq!(times, 1, "{name}: {seen:?}");
    }
}
