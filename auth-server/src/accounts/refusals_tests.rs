use std::time::Duration;

use super::*;
use crate::audit::Action;
use crate::testing::clock;

fn event() -> Event {
    Event::failure(Action::Login, None, "wrong username or password")
}

fn admitted(refusals: &Refusals, address: &str, times: usize) -> usize {
    let address = Some(address.parse().unwrap());
    (0..times)
        .filter(|_| refusals.admit(address, event()).is_some())
        .count()
}

#[test]
fn a_network_has_thirty_events_a_minute() {
    let clock = clock();
    let refusals = Refusals::new(&clock);
    assert_eq!(admitted(&refusals, "192.0.2.1", 10_000), 30);
    assert_eq!(refusals.metric().get(), 9_970);
    // Others have theirs. With IPv6, a client has as many addresses as it wants.
    assert_eq!(admitted(&refusals, "192.0.2.2", 10), 10);
    assert_eq!(admitted(&refusals, "2001:db8::1", 20), 20);
    assert_eq!(admitted(&refusals, "2001:db8::2", 20), 10);
    clock.advance(Duration::from_secs(2));
    assert_eq!(admitted(&refusals, "192.0.2.1", 10), 1);
    clock.advance(Duration::from_mins(1));
    assert_eq!(admitted(&refusals, "192.0.2.1", 40), 30);
}

#[test]
fn a_clock_that_is_put_back_does_not_end_the_allowance() {
    let clock = clock();
    let refusals = Refusals::new(&clock);
    assert_eq!(admitted(&refusals, "192.0.2.1", 100), 30);
    clock.put_back(Duration::from_hours(5));
    assert_eq!(admitted(&refusals, "192.0.2.1", 100), 0);
    clock.advance(Duration::from_mins(1));
    assert_eq!(admitted(&refusals, "192.0.2.1", 100), 30);
}

#[test]
fn all_networks_together_have_a_bound() {
    let refusals = Refusals::new(&clock());
    let sum: usize = (0..=255)
        .map(|last| admitted(&refusals, &format!("192.0.2.{last}"), 30))
        .sum();
    assert_eq!(sum, 600);
}

#[test]
fn the_next_event_tells_how_many_were_left_out() {
    let clock = clock();
    let refusals = Refusals::new(&clock);
    let here = Some("192.0.2.1".parse().unwrap());
    assert_eq!(admitted(&refusals, "192.0.2.1", 37), 30);
    clock.advance(Duration::from_secs(2));
    let reason = refusals.admit(here, event()).unwrap().reason.unwrap();
    assert_eq!(
        reason,
        "wrong username or password (and 7 more refusals that are not listed)"
    );
    clock.advance(Duration::from_secs(2));
    let reason = refusals.admit(here, event()).unwrap().reason.unwrap();
    assert_eq!(reason, "wrong username or password");
}

#[test]
fn networks_are_not_remembered_for_ever() {
    let clock = clock();
    let refusals = Refusals::new(&clock);
    for number in 0..=MANY_NETWORKS {
        let number = u32::try_from(number).unwrap();
        let _ = refusals.admit(Some(std::net::Ipv4Addr::from(number).into()), event());
    }
    assert!(refusals.0.by_network.len() > MANY_NETWORKS);
    clock.advance(Duration::from_mins(2));
    assert_eq!(admitted(&refusals, "2001:db8::1", 1), 1);
    assert_eq!(refusals.0.by_network.len(), 1);
}
