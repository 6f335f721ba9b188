//! Behind nginx and behind Apache, with the configurations of the repository.

use acceptance::proxy::{Front, Kind, Proxy, Variant, own_address};
use acceptance::{ADMIN_PASSWORD, Client, Databases, Image, Pki, Portcullis};

/// A proxy in front of two servers.
struct Behind {
    pki: Pki,
    proxy: Proxy,
    portcullis: Portcullis,
}

impl Behind {
    async fn start(front: Front) -> Self {
        let pki = Pki::new();
        let portcullis = front.servers(Databases::Sqlite).start().await;
        let proxy = front.start(&pki, &portcullis).await;
        Self {
            pki,
            proxy,
            portcullis,
        }
    }

    fn admin(&self) -> Client {
        self.proxy.client(&self.pki).login("admin", ADMIN_PASSWORD)
    }
}

#[tokio::test]
async fn images_are_pushed_and_pulled_through_every_variant() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let behind = Behind::start(Front::new(kind, variant)).await;
            let repository = behind.admin().repository("admin/app");
            let image = Image::random();
            repository.push(&image, "1").await;
            repository.expect_image(&image, "1").await;
        }
    }
}

#[tokio::test]
async fn the_servers_learn_who_asks_whatever_the_client_claims() {
    for kind in Kind::ALL {
        // Over the loopback the client would have an address that is trusted itself.
        let address = own_address();
        let behind = Behind::start(Front::new(kind, Variant::TwoHosts).at(address)).await;
        let client = behind.proxy.client(&behind.pki);
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-real-ip", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9;proto=http"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-prefix", "/evil"),
            ("x-request-id", "made-up-by-the-client"),
        ] {
            let answer = client.get("/v2/").header(name, value).send().await;
            answer.expect(401);
        }
        let log = behind.portcullis.log();
        assert!(log.contains(&format!("client={address}")), "{log}");
        for forged in ["203.0.113.9", "evil", "made-up", "client=127.0.0.1"] {
            assert!(!log.contains(forged), "{kind:?} passes {forged} on:\n{log}");
        }
    }
}
