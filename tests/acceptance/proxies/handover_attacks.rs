//! Who asks for files that the proxy could send, without the registry's leave.

use std::path::Path;

use acceptance::proxy::{Front, Kind, Variant};
use acceptance::{Invocation, Pki};

use super::handover::with_blob_behind;
use super::{Behind, fakes};

/// What nobody may be sent who was not handed it over.
struct Loot<'a> {
    blob: &'a [u8],
}

impl Loot<'_> {
    fn is_in(&self, answer: &[u8]) -> bool {
        [&self.blob[..64], b"SQLite format", b"root:x:0:"]
            .iter()
            .any(|loot| answer.windows(loot.len()).any(|window| window == *loot))
    }
}

/// Asks for all of them as they are: client libraries tidy paths up, curl does not. Returns heads and
/// bodies.
fn ask(behind: &Behind, token: &str, paths: &[String]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let host = behind.proxy.host();
    let mut curl = Invocation::new("curl")
        .args(["--silent", "--show-error", "--path-as-is", "--include"])
        .args(["--globoff", "--cacert"])
        .arg(behind.pki.root())
        .args(["--resolve", &format!("{host}:127.0.0.1")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--header", "X-Sendfile-Type: X-Accel-Redirect"])
        .args(["--header", "X-Accel-Redirect: /.portcullis-blobs/"])
        .args(["--header", "X-Sendfile: /etc/passwd"]);
    let file = |number: usize| folder.path().join(number.to_string());
    for (number, path) in paths.iter().enumerate() {
        curl = curl.arg("--output").arg(file(number));
        curl = curl.arg(format!("https://{host}/{path}"));
    }
    curl.run().expect_success();
    let answers = (0..paths.len()).map(|number| std::fs::read(file(number)).unwrap());
    answers.collect()
}

#[tokio::test]
async fn no_path_leads_to_a_file_but_that_of_a_blob_that_may_be_pulled() {
    for kind in Kind::ALL {
        for variant in Variant::ALL {
            let (behind, repository, blob) = with_blob_behind(kind, variant).await;
            let (_, hex) = blob.digest.split_once(':').unwrap();
            let file = format!("sha256/{}/{hex}/data", &hex[..2]);
            let token = repository.token().await;
            let loot = Loot { blob: &blob.bytes };
            let mut served = vec![format!("v2/admin/app/blobs/{}", blob.digest)];
            if variant == Variant::PathPrefix {
                served.push(format!("portcullis/{}", served[0]));
            }
            for answer in ask(&behind, token, &served) {
                assert!(loot.is_in(&answer), "{kind:?} {variant:?}");
                // Of a file: it was handed over.
                let head = String::from_utf8_lossy(&answer).to_lowercase();
                assert!(head.contains("last-modified: "), "{kind:?} {variant:?}");
            }

            let mut paths = Vec::new();
            let location = ".portcullis-blobs/";
            let folder = behind.portcullis.blob_folder();
            for below in [
                file.as_str(),
                "",
                "..",
                "../.portcullis-blobs/",
                "..%2f..%2f..%2f..%2f..%2fregistry.sqlite",
                "../../../../../registry.sqlite",
                "..;/..;/..;/..;/..;/registry.sqlite",
                "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/registry.sqlite",
                "%252e%252e/%252e%252e/registry.sqlite",
                "../../../../../../../../etc/passwd",
                "%00",
            ] {
                for before in [
                    "",
                    "/",
                    "v2/../",
                    "v2/..%2f",
                    "v2/..;/",
                    "v2/%2e%2e/",
                    "v2/%252e%252e/",
                    "v2/..%252f",
                    "v2/..%5c",
                    "portcullis/../",
                    "portcullis/v2/..%2f..%2f",
                    "portcullis/%2e%2e/",
                    "%2e/",
                ] {
                    paths.push(format!("{before}{location}{below}"));
                }
                paths.push(format!(".portcullis-blobs{below}"));
                paths.push(format!("%2eportcullis-blobs/{below}"));
                paths.push(format!("v2/admin/app/blobs/{below}"));
                paths.push(format!("v2/admin/app/blobs/sha256:{below}"));
            }
            // A line more in the registry's answer, by what it repeats of the question.
            for line in [
                format!("X-Accel-Redirect:%20/.portcullis-blobs/{file}"),
                format!("X-Sendfile:%20{}/{file}", folder.display()),
            ] {
                for question in [
                    format!("v2/admin/app%0d%0a{line}/manifests/1"),
                    format!("v2/admin/app/manifests/1%0d%0a{line}"),
                    format!("v2/admin/app/tags/list?n=1&last=%0d%0a{line}"),
                    format!("v2/_catalog?n=1&last=%0d%0a{line}"),
                    format!(
                        "v2/admin/app/referrers/{}?artifactType=%0d%0a{line}",
                        blob.digest
                    ),
                    format!("v2/%0d%0a{line}/blobs/uploads/?from=%0d%0a{line}"),
                ] {
                    paths.push(question);
                }
            }
            for (path, answer) in paths.iter().zip(ask(&behind, token, &paths)) {
                let text = String::from_utf8_lossy(&answer).to_lowercase();
                assert!(!loot.is_in(&answer), "{kind:?} {variant:?}: {path}");
                for injected in ["\nx-accel-redirect:", "\nx-sendfile:"] {
                    assert!(!text.contains(injected), "{path}: {text}");
                }
                assert!(!text.starts_with("http/2 50"), "{path}: {text}");
            }
        }
    }
}

/// A server that names whatever file the client likes, by either header.
fn naming_anything() -> url::Url {
    fakes::serve(|head| {
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let name = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-name"));
        let (_, name) = name.unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\
             X-Accel-Redirect: {name}\r\nX-Sendfile: {name}\r\n\r\n"
        )
    })
}

#[tokio::test]
async fn whatever_an_answer_names_only_blobs_are_sent_and_only_for_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    open_to_all(root);
    let blobs = root.join("blobs");
    std::fs::create_dir_all(blobs.join("sha256/aa")).unwrap();
    std::fs::write(blobs.join("sha256/aa/data"), "a blob").unwrap();
    std::fs::write(root.join("secret"), "a secret").unwrap();
    std::os::unix::fs::symlink(root.join("secret"), blobs.join("sha256/aa/link")).unwrap();
    // Put on another disk, say.
    let moved = root.join("moved");
    std::os::unix::fs::symlink(&blobs, &moved).unwrap();
    let server = naming_anything();

    for kind in Kind::ALL {
        let pki = Pki::new();
        let front = Front::new(kind, Variant::OneHost).sending_blobs_of(&moved);
        let proxy = front.start_before(&pki, &server, &server).await;
        let client = proxy.client(&pki);
        let get = async |path: &str, name: &str| {
            let answer = client.get(path).header("x-name", name).send().await;
            String::from_utf8_lossy(&answer.body).into_owned()
        };
        let place = match kind {
            Kind::Nginx => "/.portcullis-blobs".to_owned(),
            Kind::Apache => moved.display().to_string(),
        };
        let blob = format!("{place}/sha256/aa/data");
        assert_eq!(get("/v2/a/blobs/b", &blob).await, "a blob", "{kind:?}");
        assert_eq!(get("/auth/token", &blob).await, "", "{kind:?}");

        for outside in [
            "../secret",
            "sha256/../../secret",
            "%2e%2e/secret",
            "..%2fsecret",
            "sha256/aa/../../../secret",
        ] {
            let sent = get("/v2/a/blobs/b", &format!("{place}/{outside}")).await;
            assert!(!sent.contains("secret"), "{kind:?}: {outside}: {sent}");
        }
        let secret = root.join("secret").display().to_string();
        for outside in [&secret, "/secret", "../secret", "secret", "/etc/passwd"] {
            let sent = get("/v2/a/blobs/b", outside).await;
            assert!(!sent.contains("secret"), "{kind:?}: {outside}: {sent}");
            assert!(!sent.contains("root:"), "{kind:?}: {outside}: {sent}");
        }

        let sent = get("/v2/a/blobs/b", &format!("{place}/sha256/aa/link")).await;
        // The document says so.
        assert_eq!(sent == "a secret", kind == Kind::Apache, "{kind:?}: {sent}");
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
