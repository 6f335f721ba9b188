//! The documents about CI and Kubernetes, typed as they are written.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use acceptance::tools::{EngineTrust, Skopeo};
use acceptance::{Finished, Invocation, portcullis_binary};
use serde_json::{Value, json};

use super::{World, decoded};
use crate::documents;

/// Types what a document says, block by block, in a folder of the test's own: with this registry in
/// the place of the document's, and with a shell, since there are pipes in it.
struct Reader {
    world: World,
    path: String,
    environment: Vec<(&'static str, String)>,
}

impl Reader {
    /// `kubectl`: what stands in for it, since there is no cluster.
    async fn start(kubectl: &str) -> Self {
        let world = World::start().await;
        let bin = world.folder.path().join("bin");
        for (name, script) in [
            (
                "portcullis",
                format!("exec {} \"$@\"", portcullis_binary().display()),
            ),
            ("kubectl", kubectl.to_owned()),
        ] {
            let path = world.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::copy(world.pki.root(), world.folder.path().join("ca.crt")).unwrap();
        let create = [
            "auth", "token", "create", "ci", "--user", "admin", "--scope", "api",
        ];
        let token = world.portcullis.accounts(create).run().expect_success();
        let path = std::env::var("PATH").unwrap();
        Self {
            path: format!("{}:{path}", bin.display()),
            environment: vec![
                (
                    "PORTCULLIS_SERVER",
                    world.portcullis.auth_origin().to_string(),
                ),
                ("PORTCULLIS_TOKEN", token.stdout.trim().to_owned()),
                ("DOCKER_HOST", std::env::var("DOCKER_HOST").unwrap()),
                ("CI_PIPELINE_ID", "42".to_owned()),
            ],
            world,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.folder.path().join(name)
    }

    fn ours(&self, text: &str) -> String {
        let folder = self.world.folder.path().display();
        text.replace("registry.example.com", &self.world.host())
            .replace("team/app", "admin/app")
            .replace("/etc/", &format!("{folder}/etc/"))
            .replace("/kaniko/", &format!("{folder}/kaniko/"))
    }

    fn types(&self, block: &str) -> Finished {
        let script = self.ours(block);
        let mut shell = Invocation::new("sh")
            .args(["-ec", &script])
            .current_dir(self.world.folder.path())
            .env("HOME", self.world.folder.path())
            .env("PATH", &self.path);
        for (name, value) in &self.environment {
            shell = shell.env(name, value);
        }
        shell.run().expect_success()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_about_ci_works_as_written() {
    let mut reader = Reader::start("exit 1").await;
    // Docker looks into `/etc` itself.
    let authority = reader.world.trust("certs.d").stdout;
    let _trust = EngineTrust::new(&reader.world.host(), &authority);

    for block in documents::blocks(&documents::document("docs/ci.md"), "sh") {
        reader.types(&block);
        if let Ok(variable) = std::fs::read_to_string(reader.file("docker-auth-config")) {
            let variable = variable.trim_end().to_owned();
            reader.environment.push(("DOCKER_AUTH_CONFIG", variable));
        }
    }

    let host = reader.world.host();
    let printed = reader.file(&format!("etc/docker/certs.d/{host}/ca.crt"));
    assert_eq!(std::fs::read_to_string(printed).unwrap(), authority);
    let kaniko = std::fs::read_to_string(reader.file("kaniko/.docker/config.json")).unwrap();
    let kaniko: Value = serde_json::from_str(&kaniko).unwrap();
    let login = decoded(&kaniko["auths"][&host]["auth"]);
    assert!(login.starts_with("deploy+admin/app+ci:ptc_"), "{login}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_about_kubernetes_works_as_written() {
    // kubectl reads what it is given as it would for a cluster, and is asked for nothing more.
    let reader = Reader::start(
        r#"real=$(PATH=${PATH#*:} command -v kubectl)
        case "$1" in
        apply) shift && exec "$real" label --local "$@" seen=yes --output json ;;
        patch)
            [ "$2 $3 $4 $5 $6" = "serviceaccount default --namespace shop --patch" ]
            printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n' |
                "$real" patch --local --filename - --patch "$7" --output json ;;
        *) exit 1 ;;
        esac"#,
    )
    .await;
    let document = documents::document("docs/kubernetes.md");
    std::fs::create_dir_all(reader.file("etc/containers/registries.conf.d")).unwrap();

    let said: Vec<String> = documents::blocks(&document, "sh")
        .iter()
        .map(|block| reader.types(block).stdout)
        .collect();

    let secret: Value = serde_json::from_str(&said[0]).unwrap();
    assert_eq!(secret["metadata"]["namespace"], "shop");
    let account: Value = serde_json::from_str(&said[1]).unwrap();
    let named = json!([{"name": secret["metadata"]["name"]}]);
    assert_eq!(account["imagePullSecrets"], named);
    let pod = documents::blocks(&document, "yaml").remove(0);
    let pod = Invocation::new("kubectl")
        .args(["label", "--local", "--filename", "-", "seen=yes"])
        .args(["--output", "json"])
        .input(pod)
        .run()
        .expect_success()
        .json();
    assert_eq!(pod["spec"]["imagePullSecrets"], named);
    // The token that it made opens the image.
    let config: Value =
        serde_json::from_str(&decoded(&secret["data"][".dockerconfigjson"])).unwrap();
    let login = decoded(&config["auths"][reader.world.host()]["auth"]);
    let (user, token) = login.split_once(':').unwrap();
    assert_eq!(user, "deploy+admin/app+cluster");
    Skopeo::new()
        .command([
            "inspect",
            "--tls-verify=false",
            "--creds",
            &format!("{user}:{token}"),
        ])
        .arg(format!("docker://{}", reader.world.image()))
        .run()
        .expect_success();
    for (file, format) in [
        ("containerd/certs.d/HOST/hosts.toml", "containerd"),
        ("containers/certs.d/HOST/ca.crt", "certs.d"),
        ("containers/registries.conf.d/portcullis.conf", "crio"),
    ] {
        let file = format!("etc/{}", file.replace("HOST", &reader.world.host()));
        let written = std::fs::read_to_string(reader.file(&file)).unwrap();
        assert_eq!(written, reader.world.trust(format).stdout, "{file}");
    }
}
