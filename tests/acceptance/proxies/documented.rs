//! What the documents about proxies say to type, typed: on a machine where nothing is set up, with
//! certificates from an authority that checks who asks, as Let's Encrypt does.

use std::path::Path;

use acceptance::content::unique;
use acceptance::invocation::portcullis_binary;
use acceptance::proxy::Kind;
use acceptance::sandbox::Sandbox;
use acceptance::tools::Layout;
use acceptance::{ADMIN_PASSWORD, Pki, Process};
use serde_json::json;

use crate::documents::{blocks, commands, document, project};

const NAMES: &str = "127.0.0.1 localhost git.example.com registry.example.com\n";

/// Let's Encrypt, as far as certbot can tell. It asks `http://NAME/.well-known/acme-challenge/…`.
fn start_acme_server(sandbox: &mut Sandbox) {
    let folder = sandbox.folder().to_owned();
    let pki = Pki::new();
    let pair = pki.server(["localhost"]).issued_by_root().issue();
    for (from, to) in [
        (&pair.certificate, "acme.pem"),
        (&pair.key, "acme.key"),
        (&pki.root(), "acme-root.pem"),
    ] {
        std::fs::copy(from, folder.join(to)).unwrap();
    }
    let configuration = json!({"pebble": {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": folder.join("acme.pem"),
        "privateKey": folder.join("acme.key"),
        "httpPort": 80,
        "tlsPort": 443,
    }});
    std::fs::write(folder.join("acme.json"), configuration.to_string()).unwrap();
    let settings = "server = https://localhost:14000/dir\nemail = admin@example.com\n\
                    agree-tos = true\nnon-interactive = true\n";
    std::fs::write(folder.join("cli.ini"), settings).unwrap();
    let script = "mkdir -p /etc/letsencrypt && cp cli.ini /etc/letsencrypt/
                  PEBBLE_VA_NOSLEEP=1 pebble -config acme.json > acme.log 2>&1 &
                  until curl --silent --cacert acme-root.pem https://localhost:15000/roots/0 > issuer.pem
                  do sleep 0.1; done";
    sandbox.shell(&folder, script).run().expect_success();
    sandbox.set("REQUESTS_CA_BUNDLE", folder.join("acme-root.pem"));
    // Who pulls trusts the authority.
    sandbox.set("CURL_CA_BUNDLE", folder.join("issuer.pem"));
    sandbox.set("SSL_CERT_FILE", folder.join("issuer.pem"));
}

/// The two servers, at the ports and paths of the documents.
async fn start_servers(sandbox: &Sandbox, yaml: &[String]) -> (Process, Process) {
    let folder = sandbox.folder();
    let [auth_http, registry_http, sendfile] = yaml else {
        panic!("the document has {} pieces of configuration", yaml.len());
    };
    // What stands for two of each is the same one, at the addresses of both.
    let everywhere = |text: &str| {
        text.replace("addr: 127.0.0.1:", "addr: :")
            .replace("[loopback]", "[loopback, 10.0.0.0/24]")
    };
    let (auth_http, registry_http) = (everywhere(auth_http), everywhere(registry_http));
    let auth = format!(
        "{auth_http}database: {{url: 'sqlite:{0}/auth.sqlite'}}\nkeys: {{path: {0}/keys}}\n",
        folder.display()
    );
    // One document's keys below another's: `http` of the registry has two pieces.
    let (_, sendfile) = sendfile.split_once("http:\n").unwrap();
    let registry = registry_http.replace("http:\n", &format!("http:\n{sendfile}"));
    let registry = format!(
        "version: 0.1\n{registry}    service: portcullis-registry\n    issuer: portcullis-auth\n    \
         rootcertbundle: {0}/keys/bundle.pem\n\
         storage: {{filesystem: {{rootdirectory: /var/lib/registry}}}}\n\
         database: {{url: 'sqlite:{0}/registry.sqlite'}}\n",
        folder.display()
    );
    std::fs::write(folder.join("auth.yml"), auth).unwrap();
    std::fs::write(folder.join("registry.yml"), registry).unwrap();
    std::fs::write(folder.join("password"), ADMIN_PASSWORD).unwrap();
    let program = portcullis_binary();
    let program = program.to_str().unwrap();
    let password = format!("AUTH_ADMIN_PASSWORD_FILE={}/password", folder.display());
    let auth = [
        "env", &password, program, "auth", "serve", "--config", "auth.yml",
    ];
    let auth = sandbox.serve("auth", &auth).await;
    let registry = [program, "registry", "serve", "registry.yml"];
    let registry = sandbox.serve("registry", &registry).await;
    (auth, registry)
}

/// Pushes an image as people do, and pulls it. Returns the head of the answer with its layer.
fn push_and_pull(sandbox: &Sandbox) -> String {
    let repository = format!("admin/{}", unique());
    let layout = Layout::new().image("linux", "amd64", &[3_000_000]);
    let from = layout.finish();
    let script = format!(
        "export REGISTRY_AUTH_FILE=$PWD/auth.json
         skopeo login --username admin --password-stdin registry.example.com < password
         image=docker://registry.example.com/{repository}:1
         skopeo --insecure-policy copy --all --preserve-digests {from} $image
         rm -rf pulled
         skopeo --insecure-policy copy --all $image dir:pulled
         layer=$(ls -S pulled | head -1)
         scope=repository:{repository}:pull
         token=$(curl --silent --fail --user \"admin:$(cat password)\" \
             \"https://git.example.com/jwt/auth?service=portcullis-registry&scope=$scope\" |
             sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')
         curl --silent --fail --dump-header head --output layer \
             --header \"Authorization: Bearer $token\" \
             https://registry.example.com/v2/{repository}/blobs/sha256:$layer
         cmp layer pulled/$layer
         rm layer"
    );
    let run = sandbox.shell(sandbox.folder(), &script).run();
    run.expect_success();
    let head = std::fs::read_to_string(sandbox.folder().join("head")).unwrap();
    head.to_lowercase()
}

async fn works_as_documented(kind: Kind) {
    let (text, start) = match kind {
        Kind::Nginx => (document("docs/nginx.md"), "nginx"),
        Kind::Apache => (document("docs/apache.md"), "apachectl start"),
    };
    let mut sandbox = Sandbox::new();
    std::fs::write(sandbox.folder().join("hosts"), NAMES).unwrap();
    // What is installed has been: a newer version would have to be fetched, from a network that is not here.
    let machine = format!(
        "cp {}/hosts /etc/hosts
         ip address add 10.0.0.11 dev lo
         ip address add 10.0.0.12 dev lo
         [ ! -e /proc/net/if_inet6 ] || ip address add fd00:5000::1/64 dev lo nodad
         echo 'APT::Get::Upgrade \"false\";' > /etc/apt/apt.conf.d/installed",
        sandbox.folder().display()
    );
    sandbox.shell(&project(), &machine).run().expect_success();
    start_acme_server(&mut sandbox);
    let (_auth, registry) = start_servers(&sandbox, &blocks(&text, "yaml")).await;
    // What the package does after it has been installed.
    let start = format!("mkdir -p /var/log/nginx /run/apache2 && {start}");
    sandbox.shell(&project(), &start).run().expect_success();

    let (mut typed, mut pushed) = (0, 0);
    for line in commands(&text) {
        // A reload is done a moment after its command.
        let patient = "curl --retry 30 --retry-delay 1 --retry-connrefused ";
        let line = line.replace("curl ", patient);
        let said = sandbox.shell(&project(), &line).run().expect_success();
        typed += 1;
        if line.starts_with("curl") {
            said.expect_says(["401", "https://git.example.com/jwt/auth"]);
            let head = push_and_pull(&sandbox);
            assert!(!head.contains("last-modified"), "{head}");
            pushed += 1;
        }
    }
    assert!(typed > 10 && pushed == 1, "{typed} {pushed}");
    // Renewal is what breaks months later.
    sandbox
        .shell(
            &project(),
            "certbot renew --force-renewal --no-random-sleep-on-renew",
        )
        .run()
        .expect_success()
        .expect_says(["all renewals succeeded"]);

    // The last sections have the proxy send blobs, from two of each: it tells the date of the file.
    let mut head = String::new();
    for _ in 0..10 {
        head = push_and_pull(&sandbox);
        if head.contains("last-modified") {
            break;
        }
    }
    for name in ["last-modified", "docker-content-digest"] {
        assert!(head.contains(name), "no {name} in {head}");
    }
    if Path::new("/proc/net/if_inet6").exists() {
        let script = "curl --silent --resolve 'registry.example.com:443:[fd00:5000::1]' \
                      https://registry.example.com/v2/";
        let asked = sandbox.shell(&project(), script).run().expect_success();
        asked.expect_says(["UNAUTHORIZED"]);
        assert!(registry.log().contains("client=fd00:5000::1"));
    }
    let log = registry.log();
    assert!(
        log.contains("client=127.0.0.1") && !log.contains("client=10.0.0."),
        "{log}"
    );
}

#[tokio::test]
async fn nginx_is_set_up_as_its_document_says() {
    works_as_documented(Kind::Nginx).await;
}

#[tokio::test]
async fn apache_is_set_up_as_its_document_says() {
    works_as_documented(Kind::Apache).await;
}
