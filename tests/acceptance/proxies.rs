//! Behind nginx and behind Apache, with the configurations of the repository in front of the real
//! servers.

mod addresses;
mod clients;
mod documented;
mod handover;
mod shipped;
mod transport;
mod uploads;

use acceptance::proxy::{Front, Kind, Proxy, Variant};
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
