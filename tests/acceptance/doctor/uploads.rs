//! Faults that a push meets when its layer is on its way, in nginx and in Apache.
//!
//! Both proxies are made to give each answer that there is, but for one: nginx, whose
//! `client_body_timeout` is over, says no 408, whatever its documentation has; it closes the connection.
//! A limit for the time of a whole body is Apache's alone (`RequestReadTimeout`). 413 is in
//! [`proxy`](super::proxy), with what else their configurations get wrong.

use std::time::Duration;

use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::{Databases, Pki};
use rustix::process::{Pid, Signal, kill_process};

use super::relay::Relay;
use super::{Behind, Diagnosis, Edit, as_admin, doctor};

const PROXY: &str = "portcullis/proxy.conf";
const HOSTS: &str = "two-hosts.conf";

/// What becomes of the registry in the middle of a layer.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It ends, as for want of memory.
    Killed,
    /// It hangs.
    Stopped,
    /// It takes its time, once.
    Slow(Duration),
}

/// What the doctor says of a registry that meets its fate during the doctor's push.
async fn push_to(fate: Fate, kind: Kind, nginx: &[Edit], apache: &[Edit]) -> Diagnosis {
    let pki = Pki::new();
    let edits = if kind == Kind::Nginx { nginx } else { apache };
    let front = Front::new(kind, Variant::TwoHosts).at(own_address());
    let front = edits.iter().fold(front, |front, (file, from, to)| {
        front.replace(file, from, to)
    });
    let mut portcullis = front.servers(Databases::Sqlite).start().await;
    let registry = Pid::from_raw(portcullis.process().id().try_into().unwrap()).unwrap();
    let signal = move |signal| kill_process(registry, signal).unwrap();
    let relay = Relay::before(portcullis.origin(), move || match fate {
        Fate::Killed => signal(Signal::KILL),
        Fate::Stopped => signal(Signal::STOP),
        Fate::Slow(time) => std::thread::sleep(time),
    });
    let auth = portcullis.auth_origin().clone();
    let proxy = front.start_before(&pki, &auth, relay.origin()).await;
    let command = as_admin(doctor(), proxy.registry());
    Diagnosis::of(command.arg("--ca-file").arg(pki.root()))
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Nginx => "nginx",
        Kind::Apache => "Apache",
    }
}

#[tokio::test]
async fn a_proxy_that_demands_a_length_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                "include portcullis/registry.conf;",
                "if ($http_transfer_encoding) { return 411; } include portcullis/registry.conf;",
            ),
            (
                HOSTS,
                "Include portcullis/registry.conf\n",
                "RewriteEngine on\nRewriteCond %{HTTP:Transfer-Encoding} chunked\n\
                 RewriteRule ^ - [R=411,L]\nInclude portcullis/registry.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect_first(
                "upload.size",
                "failure",
                "length is not known in advance (411)",
            )
            .expect("upload.size", "failure", "`Transfer-Encoding: chunked`")
            .expect("upload.streaming", "skipped", "because upload.size failed")
            .expect("upload.cancelled", "ok", "nothing is left");
    }
}

#[tokio::test]
async fn a_registry_that_ends_in_the_middle_of_a_layer_is_named() {
    for kind in Kind::ALL {
        let lost = format!("{} lost the registry", named(kind));
        push_to(Fate::Killed, kind, &[], &[])
            .await
            .expect("upload.open", "ok", "")
            .expect_first("upload.size", "failure", &lost)
            .expect("upload.size", "failure", "(502)")
            .expect("upload.size", "failure", "want of memory")
            .expect("upload.cancelled", "warning", "could not be cancelled");
    }
}

#[tokio::test]
async fn a_registry_that_hangs_in_the_middle_of_a_layer_is_named() {
    for kind in Kind::ALL {
        let nginx = (PROXY, "timeout        900s", "timeout 4s");
        let apache = (PROXY, "ProxyTimeout 900", "ProxyTimeout 4");
        let diagnosis = push_to(Fate::Stopped, kind, &[nginx], &[apache]).await;
        diagnosis
            .expect_first("upload.size", "failure", "while a layer was sent")
            .expect(
                "upload.size",
                "failure",
                "if it is only slow, raise the proxy's timeouts",
            )
            .expect("upload.size", "failure", "`proxy_read_timeout 900s`")
            .expect("upload.size", "failure", "`ProxyTimeout 900`")
            .expect("upload.cancelled", "warning", "could not be cancelled");
        let said = diagnosis.find("upload.size").unwrap()["message"].to_string();
        let gave_up = format!("{} gave up waiting for the registry", named(kind));
        // To Apache it is a bad answer if the time is over when it waits for one.
        let lost = kind == Kind::Apache && said.contains("(502)");
        assert!(
            lost || said.contains(&gave_up) && said.contains("(504)"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_allows_no_pause_is_named() {
    for kind in Kind::ALL {
        let said = match kind {
            Kind::Nginx => "s after it began (the connection was closed before the answer)",
            Kind::Apache => "s after it began (408)",
        };
        let nginx = (
            PROXY,
            "client_body_timeout       300s",
            "client_body_timeout 2s",
        );
        let apache = (PROXY, "Timeout      300", "Timeout 2");
        Behind::edited(kind, nginx, apache)
            .await
            .diagnose()
            .expect("upload.size", "ok", "32 MiB got through")
            .expect_first("upload.streaming", "failure", "an upload that paused")
            .expect("upload.streaming", "failure", said)
            .expect("upload.streaming", "failure", "`client_body_timeout 300s`")
            .expect("upload.cancelled", "ok", "nothing is left");
    }
}

#[tokio::test]
async fn a_proxy_that_limits_the_time_of_a_layer_is_named() {
    let slow = Fate::Slow(Duration::from_secs(2));
    let apache = (PROXY, "body=0", "body=1");
    push_to(slow, Kind::Apache, &[], &[apache])
        .await
        .expect_first(
            "upload.size",
            "failure",
            "Apache gave up waiting for the rest of a layer (408)",
        )
        .expect("upload.size", "failure", "`RequestReadTimeout body=0`")
        .expect("upload.cancelled", "ok", "nothing is left");
}
