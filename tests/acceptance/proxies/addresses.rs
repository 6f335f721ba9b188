//! Who asks, and by which addresses clients know us.

use acceptance::proxy::{Front, Kind, Variant, own_address};
use acceptance::{Blob, Upload};
use serde_json::{Value, json};

use super::Behind;

/// What a client may claim about itself.
const CLAIMS: [(&str, &str); 7] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("x-real-ip", "203.0.113.9"),
    ("forwarded", "for=203.0.113.9;proto=http;host=evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-prefix", "/evil"),
    ("x-request-id", "made-up-by-the-client"),
];

#[tokio::test]
async fn the_servers_learn_who_asks_whatever_the_client_claims() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            // Over the loopback the client would have an address that is trusted itself.
            let address = own_address();
            let behind = Behind::start(Front::new(kind, variant).at(address)).await;
            // HTTP/2 has no `Connection`.
            let client = behind
                .proxy
                .client_with(&behind.pki, reqwest::ClientBuilder::http1_only);
            let paths: &[&str] = match variant {
                Variant::PathPrefix => &["/v2/", "/portcullis/v2/"],
                Variant::OneHost | Variant::TwoHosts => &["/v2/"],
            };
            for path in paths {
                for (name, value) in CLAIMS {
                    let answer = client.get(path).header(name, value).send().await;
                    answer.expect(401);
                    // Asks the proxy to take away what it has just put there.
                    let answer = client.get(path).header(name, value);
                    let answer = answer.header("connection", &format!("close, {name}"));
                    answer.send().await.expect(401);
                }
            }

            let log = behind.portcullis.log();
            let requests = log.lines().filter(|line| line.contains("path=\"/v2/\""));
            let expected = paths.len() * 2 * CLAIMS.len();
            assert_eq!(requests.clone().count(), expected, "{log}");
            for line in requests {
                assert!(
                    line.contains(&format!("client={address}")),
                    "{kind:?}: {line}"
                );
            }
            for forged in ["203.0.113.9", "evil", "made-up"] {
                assert!(!log.contains(forged), "{kind:?} passes {forged} on:\n{log}");
            }
        }
    }
}

#[tokio::test]
async fn the_audit_log_names_the_client_not_the_proxy() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let address = own_address();
            let behind = Behind::start(Front::new(kind, variant).at(address)).await;
            let login = behind
                .anonymous()
                .get(&format!(
                    "{}jwt/auth?service=portcullis-registry",
                    behind.proxy.auth()
                ))
                .basic("admin", "wrong")
                .header("x-forwarded-for", "203.0.113.9");
            login.send().await.expect(401);

            let events = behind
                .portcullis
                .accounts(["auth", "audit", "--output", "json"]);
            let events = events.run().expect_success().json();
            let events = events.as_array().or(events["items"].as_array()).unwrap();
            let failed =
                |event: &&Value| event["action"] == "login" && event["outcome"] == "failure";
            let event = events.iter().find(failed).expect("a failed login");
            assert_eq!(event["address"], json!(address.to_string()), "{event}");
        }
    }
}

/// A registry that builds whole URLs builds those that the client can use.
#[tokio::test]
async fn locations_lead_back_through_the_proxy() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let front = Front::new(kind, variant);
            let pki = acceptance::Pki::new();
            let setup = front.servers(acceptance::Databases::Sqlite);
            let absolute = setup.env("REGISTRY_HTTP_RELATIVEURLS", "false");
            let portcullis = absolute.start().await;
            let proxy = front.start(&pki, &portcullis).await;
            let admin = proxy
                .client(&pki)
                .login("admin", acceptance::ADMIN_PASSWORD);
            let repository = admin.repository("admin/app");

            let mut prefixes = vec![""];
            if variant == Variant::PathPrefix {
                prefixes.push("/portcullis");
            }
            for prefix in prefixes {
                let path = format!("{prefix}/v2/admin/app/blobs/uploads/");
                let answer = repository.post(&path).send().await.expect(202);
                let location = answer.header("location");
                let base = format!("https://{}{path}", proxy.host());
                assert!(location.starts_with(&base), "{kind:?}: {location}");
                let blob = Blob::new("through the location");
                let upload = Upload::resume(&repository, location);
                let answer = upload.finish_with(&blob.digest, blob.bytes.clone()).await;
                let stored = answer.expect(201);
                let stored = stored.header("location");
                assert!(
                    stored.starts_with(&base.replace("/uploads/", "/")),
                    "{stored}"
                );
                let answer = repository.get(stored).send().await.expect(200);
                assert_eq!(answer.body, blob.bytes);
            }
        }
    }
}

/// Slashes inside of a segment stay inside of it.
#[tokio::test]
async fn escaped_slashes_arrive_as_they_were_sent() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let behind = Behind::start(Front::new(kind, variant)).await;
            behind.portcullis.new_project("admin/app", "private");
            let create = ["auth", "token", "create", "reader", "--user", "admin"];
            let create = behind.portcullis.accounts(create).args(["--scope", "api"]);
            let created = create.run().expect_success();
            let mut words = created.stdout.split_whitespace();
            let token = words.find(|word| word.starts_with("ptc_")).unwrap();

            let auth = behind.proxy.auth();
            let client = behind.anonymous();
            let project = client.get(&format!("{auth}api/v1/projects/admin%2Fapp"));
            let answer = project.bearer(token).send().await.expect(200);
            assert_eq!(answer.json()["path"], "admin/app", "{answer}");
        }
    }
}

#[tokio::test]
async fn below_a_prefix_pages_and_tokens_are_found() {
    for kind in Kind::ALL {
        let behind = Behind::start(Front::new(kind, Variant::PathPrefix)).await;
        let client = behind.anonymous();
        for path in [
            "/portcullis/",
            "/portcullis/jwt/auth?service=portcullis-registry",
            "/portcullis/auth/token?service=portcullis-registry",
            "/portcullis/.well-known/jwks.json",
        ] {
            client.get(path).send().await.expect(200);
        }
        for path in ["/v2/", "/portcullis/v2/"] {
            let challenge = client.get(path).send().await.expect(401).challenge();
            assert!(
                challenge.realm.path().starts_with("/portcullis/"),
                "{challenge:?}"
            );
        }
        let answer = client.get("/portcullis").send().await.expect(308);
        assert!(
            answer.header("location").ends_with("/portcullis/"),
            "{answer}"
        );
        // The rest of the host is not ours.
        client.get("/jwt/auth").send().await.expect(404);
    }
}

/// As the file says: the prefix is changed in these places.
#[tokio::test]
async fn the_prefix_may_be_another() {
    for kind in Kind::ALL {
        let mut front = Front::new(kind, Variant::PathPrefix).sending_blobs();
        let places: &[_] = match kind {
            Kind::Nginx => &[
                ("path-prefix.conf", "~^/portcullis"),
                ("portcullis/prefix.conf", " /portcullis"),
            ],
            Kind::Apache => &[
                ("portcullis/prefix.conf", "/portcullis"),
                ("portcullis/sendfile.conf", "(/portcullis)"),
            ],
        };
        for (file, path) in places {
            front = front.replace(file, path, &path.replace("portcullis", "images"));
        }
        let pki = acceptance::Pki::new();
        let setup = front.servers(acceptance::Databases::Sqlite);
        let portcullis = setup.start().await;
        let proxy = front.start(&pki, &portcullis).await;
        let client = proxy.client(&pki);
        let realm = "/images/jwt/auth?service=portcullis-registry";
        client.get(realm).send().await.expect(200);
        let answer = client.get("/images/v2/").send().await;
        answer.expect_error(401, "UNAUTHORIZED");
        client.get("/portcullis/v2/").send().await.expect(404);
    }
}
