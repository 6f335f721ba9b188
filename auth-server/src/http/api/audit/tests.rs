use reqwest::Method;
use serde_json::Value;

use crate::http::test_app::{Answer, TestApp};

const AUDIT: &str = "/api/v1/audit";

async fn ask(app: &TestApp, path: &str) -> Answer {
    app.admin(Method::GET, path, &Value::Null).await
}

fn numbers(answer: &Answer) -> Vec<i64> {
    let entries = answer.json();
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|entry| entry["number"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn events_come_by_page_the_newest_first() {
    let app = TestApp::start().await;
    for name in ["carol", "dave", "eve"] {
        app.create_user(name).await;
    }
    let users = "/api/v1/audit?action=user.create&outcome=success&limit=2";
    let first = ask(&app, users).await.expect(200);
    let total: usize = first.header("x-total-count").parse().unwrap();
    assert!(total >= 5, "alice, bob and three more: {total}");
    let entry = &first.json()[0];
    assert_eq!(entry["subject"]["name"], "eve");
    assert_eq!(entry["actor"]["name"], "tester");
    assert_eq!(entry["after"]["username"], "eve");

    let mut seen = numbers(&first);
    let mut link = first.header("link").to_owned();
    while let Some(next) = link
        .strip_prefix('<')
        .and_then(|link| link.split('>').next())
    {
        let page = ask(&app, next).await.expect(200);
        seen.extend(numbers(&page));
        link = page.header("link").to_owned();
    }
    assert_eq!(seen.len(), total);
    assert!(seen.is_sorted_by(|one, two| one > two), "{seen:?}");
    let before_all = ask(&app, "/api/v1/audit?until=2000-01-01T00:00:00Z").await;
    assert_eq!(before_all.expect(200).text, "[]");
}

#[tokio::test]
async fn an_export_has_every_event_on_a_line_of_its_own() {
    let app = TestApp::start().await;
    let page = ask(&app, "/api/v1/audit?limit=200").await.expect(200);
    let export = ask(&app, "/api/v1/audit/export").await.expect(200);
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = export
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut entries = page.json().as_array().unwrap().clone();
    entries.reverse();
    assert_eq!(
        lines[..entries.len()],
        entries,
        "the second login may be new"
    );

    let after = format!(
        "/api/v1/audit/export?after={}&action=user",
        lines[0]["number"]
    );
    let rest = ask(&app, &after).await.expect(200);
    assert!(rest.text.lines().count() < lines.len());
    assert!(!rest.text.contains("key.generate"), "{}", rest.text);
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_refused_with_a_reason() {
    let app = TestApp::start().await;
    let long = "x".repeat(513);
    for (query, words) in [
        ("action=User", "user.create"),
        ("action=", "user.create"),
        ("outcome=perhaps", "success"),
        ("address=localhost", "address"),
        ("since=yesterday", "2026-11-21T13:00:00Z"),
        ("until=2026-11-21", "2026-11-21T13:00:00Z"),
        ("actor=%00", "512 bytes"),
        (&format!("subject={long}"), "512 bytes"),
        ("after=0", "from 1"),
        ("after=x", "from 1"),
        ("who=alice", "who"),
        ("action=user&action=group", "twice"),
    ] {
        for path in [AUDIT, "/api/v1/audit/export"] {
            let message = ask(&app, &format!("{path}?{query}"))
                .await
                .error(400, "BAD_REQUEST");
            assert!(message.contains(words), "{query}: {message}");
        }
    }
    let message = ask(&app, "/api/v1/audit?limit=0")
        .await
        .error(400, "BAD_REQUEST");
    assert!(message.contains("limit"), "{message}");
    ask(&app, "/api/v1/audit?limit=99999999999")
        .await
        .expect(200);
    let far = "since=-9999-01-01T00:00:00Z&until=9999-12-31T23:59:59Z";
    let answer = ask(&app, &format!("{AUDIT}?{far}")).await;
    assert!([200, 400].contains(&answer.status.as_u16()), "{answer:?}");
}
