//! Faults of the proxy in front, each made in nginx and in Apache.

use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::{Databases, Pki};

use super::{Behind, Diagnosis, as_admin, doctor, edit};

const PROXY: &str = "portcullis/proxy.conf";

/// Where settings for the registry's host alone can be put.
const HOSTS: &str = "two-hosts.conf";
const NGINX_REGISTRY: &str = "include portcullis/registry.conf;";
const APACHE_REGISTRY: &str = "Include portcullis/registry.conf\n";

#[tokio::test]
async fn a_header_that_is_taken_away_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                NGINX_REGISTRY,
                "proxy_set_header Authorization \"\"; include portcullis/registry.conf;",
            ),
            (
                HOSTS,
                APACHE_REGISTRY,
                "RequestHeader unset Authorization\nInclude portcullis/registry.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect_first(
                "registry.authorization",
                "failure",
                "no token arrives at the registry",
            )
            .expect(
                "registry.authorization",
                "failure",
                "RequestHeader unset Authorization",
            )
            .expect("token.issued", "ok", "admin")
            .expect(
                "token.accepted",
                "skipped",
                "because registry.authorization failed",
            )
            .expect(
                "upload.open",
                "skipped",
                "because registry.authorization failed",
            );
    }
}

#[tokio::test]
async fn a_password_that_does_not_reach_the_realm_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                "include portcullis/auth.conf;",
                "proxy_set_header Authorization \"\"; include portcullis/auth.conf;",
            ),
            (
                HOSTS,
                "Include portcullis/auth.conf\n",
                "RequestHeader unset Authorization\nInclude portcullis/auth.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect("registry.authorization", "ok", "")
            .expect_first("token.subject", "failure", "the password did not arrive");
    }
}

#[tokio::test]
async fn a_challenge_that_is_taken_away_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                NGINX_REGISTRY,
                "proxy_hide_header WWW-Authenticate; include portcullis/registry.conf;",
            ),
            (
                HOSTS,
                APACHE_REGISTRY,
                "Header unset WWW-Authenticate\nHeader always unset WWW-Authenticate\n\
                 Include portcullis/registry.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect_first(
                "registry.challenge",
                "failure",
                "401 without a `WWW-Authenticate`",
            )
            .expect("token.issued", "skipped", "");
    }
}

#[tokio::test]
async fn a_challenge_that_lacks_something_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                NGINX_REGISTRY,
                "proxy_hide_header WWW-Authenticate; include portcullis/registry.conf; add_header \
                 WWW-Authenticate 'Bearer realm=\"https://auth.example.com/auth/token\"' always;",
            ),
            (
                HOSTS,
                APACHE_REGISTRY,
                "Header set WWW-Authenticate \"Bearer \
                 realm=\\\"https://auth.example.com/auth/token\\\"\"\nInclude \
                 portcullis/registry.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect_first("registry.challenge", "failure", "names no service")
            .expect("registry.challenge", "failure", "`auth.token.service`");
    }
}

#[tokio::test]
async fn a_version_that_is_taken_away_is_worth_a_warning() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                NGINX_REGISTRY,
                "proxy_hide_header Docker-Distribution-Api-Version; \
                 include portcullis/registry.conf;",
            ),
            (
                HOSTS,
                APACHE_REGISTRY,
                "Header unset Docker-Distribution-Api-Version\nInclude portcullis/registry.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect_first(
                "registry.version",
                "warning",
                "`Docker-Distribution-Api-Version` is missing",
            )
            .expect("upload.size", "ok", "");
    }
}

#[tokio::test]
async fn a_limit_for_bodies_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                PROXY,
                "client_max_body_size      0;",
                "client_max_body_size 1m;",
            ),
            // `LimitRequestBody` is not for what is only passed on; rules such as this are.
            (
                HOSTS,
                APACHE_REGISTRY,
                "RewriteEngine on\nRewriteCond expr \"%{HTTP:Content-Length} -gt 1048576\"\n\
                 RewriteRule ^ - [R=413,L]\nInclude portcullis/registry.conf\n",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect_first("upload.size", "failure", "client_max_body_size 0")
            .expect("upload.size", "failure", "refuses bodies of 32 MiB (413)")
            .expect("upload.streaming", "skipped", "because upload.size failed")
            .expect("upload.cancelled", "ok", "nothing is left");
    }
}

#[tokio::test]
async fn uploads_that_are_held_back_are_noticed() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                PROXY,
                "proxy_request_buffering   off;",
                "proxy_request_buffering on;",
            ),
            (
                PROXY,
                "LimitRequestBody 0",
                "LimitRequestBody 0\nSetEnv proxy-sendcl 1",
            ),
        )
        .await;
        behind
            .diagnose()
            .expect("upload.size", "ok", "32 MiB got through")
            .expect_first("upload.streaming", "warning", "holds uploads back")
            .expect("upload.streaming", "warning", "proxy_request_buffering off")
            .expect("upload.cancelled", "ok", "nothing is left");
    }
}

/// A registry that builds `Location` from what the proxy says.
async fn with_absolute_urls(kind: Kind, nginx: super::Edit, apache: super::Edit) -> Diagnosis {
    Behind::start(
        kind,
        |setup, _| setup.env("REGISTRY_HTTP_RELATIVEURLS", "false"),
        |front, _| edit(front, kind, nginx, apache),
    )
    .await
    .diagnose()
}

#[tokio::test]
async fn a_misspelt_x_forwarded_proto_is_named() {
    for kind in Kind::ALL {
        with_absolute_urls(
            kind,
            (PROXY, "X-Forwarded-Proto ", "X-Forwarded-Protocol "),
            (PROXY, "set X-Forwarded-Proto ", "set X-Forwarded-Protocol "),
        )
        .await
        .expect_first("upload.location", "failure", "`Location` is http://")
        .expect(
            "upload.location",
            "failure",
            "the proxy sets no `X-Forwarded-Proto`",
        )
        .expect(
            "upload.location",
            "failure",
            "`X-Forwarded-Protocol`, as some guides have it",
        )
        // It goes on where the registry is, whatever was said.
        .expect("upload.size", "ok", "32 MiB")
        .expect("upload.cancelled", "ok", "nothing is left");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::start(
            kind,
            |setup, _| {
                setup
                    .env("REGISTRY_HTTP_RELATIVEURLS", "false")
                    .env("REGISTRY_HTTP_TRUSTEDPROXIES", "[192.0.2.1]")
            },
            |front, _| front,
        )
        .await;
        behind
            .diagnose()
            .expect_first("upload.location", "failure", "`Location` is http://")
            .expect("upload.location", "failure", "`http.trustedproxies`");
    }
}

#[tokio::test]
async fn a_host_that_is_not_passed_on_is_named() {
    for kind in Kind::ALL {
        with_absolute_urls(
            kind,
            (PROXY, "$http_host", "$proxy_host"),
            (
                PROXY,
                "ProxyPreserveHost On",
                "ProxyPreserveHost Off\nProxyAddHeaders Off",
            ),
        )
        .await
        .expect_first("upload.location", "failure", "`Location` leads to ")
        .expect("upload.location", "failure", "ProxyPreserveHost on")
        .expect("upload.cancelled", "ok", "nothing is left");
    }
}

#[tokio::test]
async fn a_port_that_is_not_passed_on_is_named() {
    for kind in Kind::ALL {
        let behind = Behind::start(
            kind,
            |setup, front| {
                let host = front.registry().host_str().unwrap().to_owned();
                setup.env("REGISTRY_HTTP_HOST", &format!("https://{host}"))
            },
            |front, _| front,
        )
        .await;
        behind
            .diagnose()
            .expect_first("upload.location", "failure", "`Location` leads to port 443")
            .expect("upload.location", "failure", "`http.host`");
    }
    with_absolute_urls(Kind::Nginx, (PROXY, "$http_host", "$host"), (PROXY, "", ""))
        .await
        .expect_first("upload.location", "failure", "`Location` leads to port 443");
}

/// The registry below a path, which clients need not know of: the proxy takes it off and says so.
#[tokio::test]
async fn a_prefix_that_is_not_passed_on_is_named() {
    const PREFIX: &str = "portcullis/prefix.conf";
    for kind in Kind::ALL {
        for told in [true, false] {
            let front = Front::new(kind, Variant::PathPrefix).at(own_address());
            let front = if told {
                front
            } else {
                let nginx = (PREFIX, "set $portcullis_prefix /portcullis;", "");
                let apache = (PREFIX, "RequestHeader set X-Forwarded-Prefix", "# ");
                edit(front, kind, nginx, apache)
            };
            let pki = Pki::new();
            let portcullis = front.servers(Databases::Sqlite).start().await;
            let proxy = front.start(&pki, &portcullis).await;
            let below = proxy.registry().join("portcullis").unwrap();
            let command = as_admin(doctor(), &below).arg("--ca-file").arg(pki.root());
            let diagnosis = Diagnosis::of(command);
            if told {
                diagnosis.expect("upload.location", "ok", "relative");
            } else {
                diagnosis
                    .expect_first(
                        "upload.location",
                        "failure",
                        "which is not below /portcullis/v2/",
                    )
                    .expect("upload.location", "failure", "`X-Forwarded-Prefix`");
            }
            // It goes on where the registry is, whatever was said.
            diagnosis.expect("upload.size", "ok", "32 MiB").expect(
                "upload.cancelled",
                "ok",
                "nothing is left",
            );
        }
    }
}

#[tokio::test]
async fn ranges_that_are_taken_away_are_noticed() {
    for kind in Kind::ALL {
        let behind = Behind::edited(
            kind,
            (
                HOSTS,
                NGINX_REGISTRY,
                "proxy_set_header Range \"\"; include portcullis/registry.conf;",
            ),
            (
                HOSTS,
                APACHE_REGISTRY,
                "RequestHeader unset Range\nInclude portcullis/registry.conf\n",
            ),
        )
        .await;
        behind.push("admin/app").await;
        Diagnosis::of(behind.doctor().args(["--repository", "admin/app"]))
            .expect_first("download.range", "warning", "gets all of it")
            .expect("upload.resume", "ok", "gone on with");
    }
}

#[tokio::test]
async fn a_registry_that_is_down_is_told_from_a_proxy_that_is() {
    for kind in Kind::ALL {
        let mut behind = Behind::start(kind, |setup, _| setup, |front, _| front).await;
        behind.portcullis.kill();
        behind
            .diagnose()
            .expect("registry.tls.chain", "ok", "")
            .expect_first(
                "registry.challenge",
                "failure",
                "the registry behind it is not (50",
            )
            .expect("registry.challenge", "failure", "`proxy_pass`");
        behind.proxy.stop().await;
        behind
            .diagnose()
            .expect_first("registry.port", "failure", "nothing listens")
            .expect("registry.tls", "skipped", "because registry.port failed");
    }
}

#[tokio::test]
async fn another_site_is_no_registry() {
    for kind in Kind::ALL {
        let pki = Pki::new();
        let front = Front::new(kind, Variant::TwoHosts).at(own_address());
        let front = edit(
            front,
            kind,
            (HOSTS, NGINX_REGISTRY, "location /v2/ { return 404; }"),
            (HOSTS, APACHE_REGISTRY, "RedirectMatch 404 ^/\n"),
        );
        let nobody = "http://127.0.0.1:9".parse().unwrap();
        let proxy = front.start_before(&pki, &nobody, &nobody).await;
        let name = format!("{kind:?}").to_lowercase();
        let look = |url: &str| {
            let command = doctor()
                .args(["--registry", url])
                .arg("--ca-file")
                .arg(pki.root());
            Diagnosis::of(command)
        };
        let diagnosis = look(proxy.registry().as_str());
        diagnosis.expect_first("registry.challenge", "failure", "there is no registry");
        let said = diagnosis.find("registry.challenge").unwrap()["message"].to_string();
        assert!(said.to_lowercase().contains(&name), "{said}");
        // Plain HTTP is redirected, which clients do not follow.
        look(proxy.http().as_str())
            .expect_first("registry.tls", "failure", "plain HTTP")
            .expect("registry.challenge", "failure", "is redirected (30");
    }
}
