use doctor::Verdict;

use super::shown::summary;
use super::*;

#[test]
fn a_host_is_meant_as_clients_mean_it() {
    let url = |text| registry_url(text).unwrap().to_string();
    assert_eq!(url("registry.test"), "https://registry.test/");
    assert_eq!(url("http://localhost:5000"), "http://localhost:5000/");
    assert_eq!(url("https://a.test/prefix"), "https://a.test/prefix");
    for wrong in ["ftp://a.test", "https://", "https://u:p@a.test", "a b"] {
        assert!(
            matches!(registry_url(wrong), Err(Failure::Usage(_))),
            "{wrong}"
        );
    }
}

#[test]
fn the_summary_says_where_to_begin() {
    let mut report = Report::default();
    report.add("a", Verdict::ok("fine"));
    assert_eq!(summary(&report), "All is well: 1 ok.");
    report.add("b", Verdict::warning("old", "renew it"));
    report.add("c", Verdict::failure("broken", "set `x`"));
    report.add("d", Verdict::failure("broken too", "set `y`"));
    report.add("e", Verdict::skipped("because c failed"));
    assert_eq!(
        summary(&report),
        "2 failures, 1 warning, 1 ok, 1 skipped. Mend first: c: set `x`."
    );
}
