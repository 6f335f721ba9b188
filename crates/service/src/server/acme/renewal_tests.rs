use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

const DAY: Duration = Duration::from_hours(24);

/// From the first of January 2026, which is so long after 1970.
fn day(day: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * (20_454 + day - 1)
}

/// A certificate for January and February and March.
fn term(names: &[&str]) -> Term {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 4, 1);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Term::of(certificate.der()).unwrap()
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
    let term = term(&["a.test", "B.test"]);
    let hosts = hosts(&["a.test", "b.test"]);
    assert_eq!(term.left(&hosts, day(1)), DAY * 60);
    assert_eq!(term.left(&hosts, day(60)), DAY);
    for late in [61, 90, 1000] {
        assert_eq!(term.left(&hosts, day(late)), Duration::ZERO);
    }
    // A clock that is behind waits; it looks again every hour.
    assert!(term.left(&hosts, SystemTime::UNIX_EPOCH) > DAY * 60);
    assert!(term.until().to_string().starts_with("Apr  1 00:00:00 2026"));
}

#[test]
fn a_certificate_for_other_names_is_of_no_use() {
    let term = term(&["a.test", "b.test"]);
    for (names, good) in [
        (&["a.test"][..], true),
        (&["a.test", "c.test"], false),
        (&["test"], false),
    ] {
        let left = term.left(&hosts(names), day(1));
        assert_eq!(!left.is_zero(), good, "{names:?}");
    }
}

#[test]
fn what_is_no_certificate_is_said_so() {
    assert!(Term::of(&CertificateDer::from(vec![1, 2, 3])).is_err());
}

#[test]
fn each_failure_waits_for_longer_up_to_a_limit() {
    let refused = OrderError::Unusable("on purpose".to_owned());
    let mut failures = Failures::default();
    assert_eq!(failures.wait(), None);
    let waits: Vec<u64> = (0..9)
        .map(|_| failures.count(&refused).as_secs() / 60)
        .collect();
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360]);
    assert_eq!(failures.wait(), Some(LAST_RETRY));
    // Let's Encrypt forgives five in an hour.
    assert!(waits[..4].iter().sum::<u64>() >= 60);
}

#[test]
fn an_authority_that_is_not_there_is_asked_sooner() {
    let unreachable = OrderError::Unreachable("on purpose".to_owned());
    let refused = OrderError::Unusable("on purpose".to_owned());
    let mut failures = Failures::default();
    assert_eq!(failures.count(&unreachable).as_secs(), 30);
    assert_eq!(failures.count(&unreachable).as_secs(), 60);
    assert_eq!(failures.count(&refused), FIRST_RETRY);
}
