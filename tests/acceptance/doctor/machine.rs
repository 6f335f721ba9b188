//! What clients on a machine are told about a registry.

use acceptance::Pki;
use acceptance::proxy::Kind;

use super::{Behind, Diagnosis, trusting_machine};

async fn behind(kind: Kind) -> Behind {
    Behind::start(kind, |setup, _| setup, |front, _| front).await
}

#[tokio::test]
async fn folders_that_nobody_looks_at_are_named() {
    for kind in Kind::ALL {
        let behind = behind(kind).await;
        let host = behind.proxy.host();
        let address = host.split(':').next().unwrap().to_owned();
        let machine = trusting_machine(&behind.pki, &address);
        let diagnose = || Diagnosis::of(behind.doctor_on(machine.path()));
        diagnose()
            .expect_first("docker.certs", "failure", "Docker does not look at")
            .expect("docker.certs", "failure", &format!("/{host}"))
            .expect("containerd.hosts", "failure", "containerd does not look at");

        for program in ["docker", "containerd"] {
            let folder = machine.path().join(program);
            std::fs::rename(folder.join(&address), folder.join(&host)).unwrap();
        }
        // The file speaks of the host without its port, too.
        diagnose().expect("docker.certs", "ok", "").expect(
            "containerd.hosts",
            "failure",
            "is not where the registry is",
        );
        let machine = trusting_machine(&behind.pki, &host);
        let diagnose = || Diagnosis::of(behind.doctor_on(machine.path()));
        diagnose()
            .expect("docker.certs", "ok", "Docker trusts the registry")
            .expect("containerd.hosts", "ok", "containerd trusts the registry");
    }
}

#[tokio::test]
async fn files_of_the_wrong_name_or_content_are_named() {
    for kind in Kind::ALL {
        let behind = behind(kind).await;
        let host = behind.proxy.host();
        let machine = trusting_machine(&behind.pki, &host);
        let diagnose = || Diagnosis::of(behind.doctor_on(machine.path()));
        let folder = machine.path().join("docker").join(&host);

        std::fs::rename(folder.join("ca.crt"), folder.join("ca.pem")).unwrap();
        diagnose().expect(
            "docker.certs",
            "failure",
            "authorities must be called *.crt",
        );
        std::fs::remove_file(folder.join("ca.pem")).unwrap();
        let other = Pki::new();
        std::fs::write(folder.join("ca.crt"), other.root_pem()).unwrap();
        diagnose().expect("docker.certs", "failure", "does not verify the registry");

        let hosts = machine
            .path()
            .join("containerd")
            .join(&host)
            .join("hosts.toml");
        for (text, status, words) in [
            ("ca = \"gone.pem\"", "failure", "there is no such file"),
            ("[host", "failure", "cannot be read"),
            ("skip_verify = true", "warning", "skip_verify"),
        ] {
            std::fs::write(&hosts, text).unwrap();
            diagnose().expect("containerd.hosts", status, words);
        }
    }
}
