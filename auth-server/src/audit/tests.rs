use database::{Error, sql, test_on_both};

use super::*;
use crate::testing::clock;

fn every_action_once() -> Vec<&'static str> {
    let mut names: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn actions_have_names_of_their_own() {
    assert_eq!(every_action_once().len(), Action::ALL.len());
}

#[test]
fn a_name_that_somebody_claims_is_cut_and_cleaned() {
    let actor = Actor::anonymous(&format!("a\u{7}\n{}", "x".repeat(1_000)));
    assert_eq!(actor.name.len(), 128);
    assert!(actor.name.starts_with("ax"), "{}", actor.name);
}

test_on_both! {
    migrations: (store::SQLITE, store::POSTGRES);

    async fn an_event_is_written_with_its_change_and_never_changed(database: Database) {
        let event = Event::success(Action::UserCreate, Subject::new("user", None, "alice"))
            .after(serde_json::json!({"username": "alice"}));
        let origin = Origin::local(Actor::operator("root"));
        let mut tx = database.begin().await.unwrap();
        record(&mut tx, &clock(), &origin, &event).await.unwrap();
        drop(tx);
        let mut tx = database.begin().await.unwrap();
        let (count,) = sql!(&mut tx, fetch_one(i64,), "SELECT count(*) FROM audit_events").unwrap();
        assert_eq!(count, 0, "the change was not committed");
        record(&mut tx, &clock(), &origin, &event).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = database.begin().await.unwrap();
        let row = sql!(
            &mut tx,
            fetch_one(String, String, String, String),
            "SELECT action, actor_kind, subject_name, state_after FROM audit_events"
        )
        .unwrap();
        let expected = ("user.create", "operator", "alice", r#"{"username":"alice"}"#);
        assert_eq!((row.0.as_str(), row.1.as_str(), row.2.as_str(), row.3.as_str()), expected);
        let changed = sql!(&mut tx, execute, "UPDATE audit_events SET actor_name = 'nobody'");
        assert!(matches!(changed, Err(Error::Internal(_))), "{changed:?}");
    }
}
