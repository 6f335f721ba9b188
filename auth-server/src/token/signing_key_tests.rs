use proptest::prelude::*;
use registry_token::{SigningAlgorithm, SigningKey};

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn key(kid: &str, signs_from: Option<i64>) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        algorithm: "ES256".to_owned(),
        origin: "generated".to_owned(),
        certificate: String::new(),
        private_sealed: None,
        published_at: at(0),
        signs_from: signs_from.map(at),
        activated_at: None,
        last_signed_at: None,
        token_lifetime: 300,
        retired_at: None,
    }
}

fn states(schedule: &KeySchedule, seconds: i64) -> Vec<KeyState> {
    let keys = schedule.all().iter();
    keys.map(|key| schedule.state(key, at(seconds))).collect()
}

#[test]
fn a_rotation_goes_through_its_states_by_time_alone() {
    use KeyState::{Published, Signing, Verifying};

    let schedule = KeySchedule::new(vec![key("new", Some(600)), key("old", Some(0))]);
    assert_eq!(states(&schedule, 0), [Signing, Published]);
    assert_eq!(states(&schedule, 599), [Signing, Published]);
    assert_eq!(states(&schedule, 600), [Verifying, Signing]);
    // Its last token was made just before 600, lives for 300, and is believed for 60 more where
    // clocks agree.
    let end = schedule.verifies_until(&schedule.all()[0]).unwrap();
    assert_eq!(end, at(600 + 300 + 120));
    assert_eq!(schedule.over(at(1_019)).count(), 0);
    let over: Vec<&str> = schedule
        .over(at(1_020))
        .map(|key| key.kid.as_str())
        .collect();
    assert_eq!(over, ["old"]);
    assert_eq!(schedule.verifies_until(&schedule.all()[1]), None);
}

#[test]
fn a_key_without_a_date_waits() {
    let schedule = KeySchedule::new(vec![key("next", None), key("now", Some(0))]);
    assert_eq!(schedule.pending(at(1_000_000)).unwrap().kid, "next");
    assert_eq!(schedule.current(at(1_000_000)).unwrap().kid, "now");
    assert_eq!(schedule.over(at(1_000_000)).count(), 0);
}

#[test]
fn who_goes_on_signing_keeps_a_key_alive() {
    let mut old = key("old", Some(0));
    old.last_signed_at = Some(at(5_000));
    let schedule = KeySchedule::new(vec![old, key("new", Some(600))]);
    let end = schedule.verifies_until(&schedule.all()[0]).unwrap();
    assert_eq!(end, at(5_000 + 300 + 120));
}

#[test]
fn a_retired_successor_does_not_count() {
    let mut cancelled = key("cancelled", Some(600));
    cancelled.retired_at = Some(at(10));
    let schedule = KeySchedule::new(vec![key("old", Some(0)), cancelled]);
    assert_eq!(
        states(&schedule, 700),
        [KeyState::Signing, KeyState::Retired]
    );
    assert_eq!(schedule.verifies_until(&schedule.all()[0]), None);
    assert!(schedule.pending(at(20)).is_none());
}

#[test]
fn what_is_shown_of_a_key_is_public() {
    let made = SigningKey::generate(SigningAlgorithm::Es256, at(0)).unwrap();
    let mut row = key(&made.key_id(), Some(0));
    row.certificate = made.certificate_pem();
    row.private_sealed = Some(b"sealed".to_vec());
    let schedule = KeySchedule::new(vec![row]);
    let info = schedule.info(&schedule.all()[0], at(1));
    assert_eq!(info.id, made.libtrust_id());
    assert_eq!(info.thumbprint, made.thumbprint());
    assert!(
        info.certificate_subject
            .as_ref()
            .unwrap()
            .contains("Portcullis")
    );
    let json = serde_json::to_value(&info).unwrap();
    assert_eq!(json["state"], "signing");
    assert!(!json.to_string().contains("sealed"), "{json}");
}

prop_compose! {
    fn any_key(index: usize)(
        signs_from in proptest::option::weighted(0.8, 0_i64..5_000),
        last_signed in proptest::option::of(0_i64..5_000),
        lifetime in 60_i64..1_000,
        retired in any::<bool>(),
    ) -> StoredKey {
        let mut key = key(&index.to_string(), signs_from);
        key.last_signed_at = last_signed.map(at);
        key.token_lifetime = lifetime;
        key.retired_at = retired.then(|| at(0));
        key
    }
}

fn any_keys() -> impl Strategy<Value = Vec<StoredKey>> {
    (0..6_usize).prop_flat_map(|count| (0..count).map(any_key).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn one_signs_if_any_may_and_none_is_over_before_its_tokens_are(
        keys in any_keys(), seconds in 0_i64..10_000,
    ) {
        let schedule = KeySchedule::new(keys);
        let now = at(seconds);
        let signing = states(&schedule, seconds);
        let signing = signing.iter().filter(|state| **state == KeyState::Signing).count();
        let may = schedule.live().any(|key| key.signs_from.is_some_and(|from| from <= now));
        prop_assert_eq!(signing, usize::from(may));
        for key in schedule.over(now) {
            prop_assert_eq!(schedule.state(key, now), KeyState::Verifying);
            // At every moment in which it signed, its token has expired by now, leeway included.
            for signed in 0..=seconds {
                let signs = schedule.current(at(signed)).is_some_and(|it| it.kid == key.kid);
                if signs || key.last_signed_at == Some(at(signed)) {
                    prop_assert!(at(signed + key.token_lifetime + 60) < now);
                }
            }
        }
    }
}
