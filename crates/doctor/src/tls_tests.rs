use super::*;
use crate::report::Status;
use crate::testing::{Authority, noon, params, self_signed};

fn says(verdict: &Verdict, status: Status, words: &str) {
    assert_eq!(verdict.status, status, "{verdict:?}");
    assert!(verdict.message.contains(words), "{words:?}: {verdict:?}");
}

#[test]
fn a_complete_chain_is_fine() {
    let root = Authority::root("Root");
    let middle = root.below("Middle");
    let leaf = middle.server(&["registry.test"]);
    let trust = Trust::only(vec![root.certificate.clone()]);
    let sent = [leaf.clone(), middle.certificate.clone()];
    says(&chain(&sent, &trust, noon()), Status::Ok, "2 certificates");
    // Its own expiry is told elsewhere.
    let late = noon() + TimeDelta::days(3_650 / 4);
    assert!(late > leaf.not_after);
    says(&chain(&sent, &trust, late), Status::Ok, "2 certificates");
    let pinned = Trust::only(vec![leaf.clone()]);
    says(&chain(&[leaf], &pinned, noon()), Status::Ok, "itself");
}

#[test]
fn a_missing_intermediate_is_named() {
    let root = Authority::root("Root");
    let upper = root.below("Upper");
    let middle = upper.below("Middle");
    let leaf = middle.server(&["registry.test"]);
    let trust = Trust::only(vec![root.certificate.clone()]);
    let missing = "intermediate certificate \"CN=Middle\" is missing";
    says(
        &chain(std::slice::from_ref(&leaf), &trust, noon()),
        Status::Failure,
        missing,
    );
    let sent = [leaf.clone(), middle.certificate.clone()];
    let missing = "intermediate certificate \"CN=Upper\" is missing";
    says(&chain(&sent, &trust, noon()), Status::Failure, missing);
    // Nothing is known of who stands above: both ways out are told.
    let verdict = chain(&[leaf], &Trust::only(Vec::new()), noon());
    says(&verdict, Status::Failure, "issuer \"CN=Middle\"");
    assert!(verdict.fix.unwrap().contains("--ca-file"));
}

#[test]
fn a_root_that_nobody_trusts_is_named() {
    let root = Authority::root("Their Root");
    let other = Authority::root("Our Root");
    let leaf = root.server(&["registry.test"]);
    let trust = Trust::only(vec![other.certificate.clone()]);
    let sent = [leaf, root.certificate.clone()];
    says(
        &chain(&sent, &trust, noon()),
        Status::Failure,
        "authority \"CN=Their Root\" is not trusted here, and is not the given one",
    );
}

#[test]
fn two_authorities_of_one_name_are_told_apart() {
    let (old, new) = (Authority::root("Root"), Authority::root("Root"));
    let trust = Trust::only(vec![old.certificate.clone()]);
    let verdict = chain(&[new.server(&["registry.test"])], &trust, noon());
    says(&verdict, Status::Failure, "two authorities of one name");
}

#[test]
fn a_certificate_may_vouch_for_itself_only_where_it_is_trusted() {
    let own = self_signed(&params("registry.test", &["registry.test"], (2029, 2031)));
    let verdict = chain(std::slice::from_ref(&own), &Trust::only(Vec::new()), noon());
    says(&verdict, Status::Failure, "signed by itself");
    let trusted = chain(
        std::slice::from_ref(&own),
        &Trust::only(vec![own.clone()]),
        noon(),
    );
    says(&trusted, Status::Ok, "itself is trusted");
}

#[test]
fn an_intermediate_that_ran_out_is_named() {
    let root = Authority::root("Root");
    let middle = root.below_until("Middle", 2030);
    let sent = [
        middle.server(&["registry.test"]),
        middle.certificate.clone(),
    ];
    let trust = Trust::only(vec![root.certificate.clone()]);
    says(
        &chain(&sent, &trust, noon()),
        Status::Failure,
        "intermediate certificate \"CN=Middle\" expired on 2030-01-01",
    );
}

#[test]
fn who_is_no_authority_signs_nothing() {
    let trust = Trust::only(vec![Authority::root("R").server(&["CN"])]);
    let verdict = chain(&[], &trust, noon());
    says(&verdict, Status::Failure, "no certificate");
}

#[test]
fn three_weeks_before_its_end_a_certificate_is_worth_a_warning() {
    let leaf = Authority::root("Root").server(&["registry.test"]);
    let end = leaf.not_after;
    says(
        &expiry(&leaf, end - TimeDelta::days(21)),
        Status::Ok,
        "2031-01-01",
    );
    let soon = expiry(&leaf, end - TimeDelta::days(20));
    says(&soon, Status::Warning, "expires in 20 days, on 2031-01-01");
    let over = expiry(&leaf, end + TimeDelta::seconds(1));
    says(&over, Status::Failure, "expired on 2031-01-01");
    let early = expiry(&leaf, leaf.not_before - TimeDelta::seconds(1));
    says(&early, Status::Failure, "not valid before 2029-01-01");
}

#[test]
fn the_host_must_be_a_subject_alternative_name() {
    let root = Authority::root("Root");
    let leaf = root.server(&["registry.test", "*.wild.test"]);
    for good in ["registry.test", "a.wild.test", "REGISTRY.test"] {
        says(&name(&leaf, good), Status::Ok, good);
    }
    says(
        &name(&leaf, "other.test"),
        Status::Failure,
        "for registry.test, *.wild.test, not for other.test",
    );
    says(&name(&leaf, "a.b.wild.test"), Status::Failure, "not for");
    let old = root.signed(&params("registry.test", &[], (2029, 2031)));
    says(
        &name(&old, "registry.test"),
        Status::Failure,
        "common name (CN)",
    );
    says(&name(&old, "other.test"), Status::Failure, "names no host");
    let by_address = root.server(&["192.0.2.1", "2001:db8::1"]);
    says(&name(&by_address, "192.0.2.1"), Status::Ok, "");
    says(&name(&by_address, "[2001:db8::1]"), Status::Ok, "");
    says(&name(&leaf, "under score"), Status::Failure, "no host name");
}

#[test]
fn names_in_a_certificate_cannot_play_with_the_terminal() {
    let evil = self_signed(&params("\u{1b}[2J\u{7}all is well", &[], (2029, 2031)));
    let trust = Trust::only(Vec::new());
    for verdict in [
        chain(std::slice::from_ref(&evil), &trust, noon()),
        name(&evil, "registry.test"),
    ] {
        let said = format!("{}{}", verdict.message, verdict.fix.unwrap_or_default());
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }
}
