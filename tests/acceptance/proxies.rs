//! Behind nginx and behind Apache, with the configurations of the repository in front of the real
//! servers.

mod addresses;
mod clients;
mod documented;
mod fakes;
mod handover;
mod handover_attacks;
mod large_layers;
mod malformed;
mod replicas;
mod shipped;
mod transport;
mod uploads;

use acceptance::proxy::{Front, Kind, Proxy, Variant};
use acceptance::{ADMIN_PASSWORD, Client, Databases, Image, Pki, Portcullis, Setup};

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

    fn anonymous(&self) -> Client {
        self.proxy.client(&self.pki)
    }

    fn admin(&self) -> Client {
        self.anonymous().login("admin", ADMIN_PASSWORD)
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

/// `portcullis up` finds out by which name it was asked, and sends clients there for tokens.
#[tokio::test]
async fn the_two_servers_in_one_work_as_well() {
    for kind in Kind::ALL {
        let pki = Pki::new();
        let up = Setup::up().env("REGISTRY_HTTP_TRUSTEDPROXIES", "[loopback]");
        let portcullis = up
            .auth_env("AUTH_HTTP_TRUSTEDPROXIES", "[loopback]")
            .start()
            .await;
        let front = Front::new(kind, Variant::OneHost);
        let proxy = front.start(&pki, &portcullis).await;
        let admin = proxy.client(&pki).login("admin", ADMIN_PASSWORD);
        assert_eq!(admin.challenge().await.realm.scheme(), "https");
        let repository = admin.repository("admin/app");
        let image = Image::random();
        repository.push(&image, "1").await;
        repository.expect_image(&image, "1").await;
    }
}
