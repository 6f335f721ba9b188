//! Files of blobs that somebody has damaged: they count as missing, so that clients push them again,
//! which mends them.

use acceptance::content::{Manifest, empty_blob, media};
use acceptance::peers::free_address;
use acceptance::{Blob, Client, Repository, Setup};
use serde_json::json;

/// The ways to damage a file; the last one removes it.
const DAMAGES: [fn(&std::path::Path); 4] = [
    |file| truncate(file, 100),
    |file| truncate(file, 0),
    |file| truncate(file, 400_000),
    |file| std::fs::remove_file(file).unwrap(),
];

fn truncate(file: &std::path::Path, length: u64) {
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.set_len(length).unwrap();
}

/// A mount of a blob of `from` in `to`.
async fn mount(from: &Repository, to: &Repository, admin: &Client, blob: &Blob) -> u16 {
    let pull = format!("repository:{}:pull", from.name());
    let push = format!("repository:{}:pull,push", to.name());
    let token = admin.token(&[&pull, &push]).await;
    let path = format!("blobs/uploads/?mount={}&from={}", blob.digest, from.name());
    let answer = to.post(&path).bearer(&token).send().await;
    answer.status.as_u16()
}

fn manifest_of(blob: &Blob) -> Manifest {
    Manifest::artifact(&json!({"layers": [blob.descriptor(media::OCI_LAYER)]}))
}

async fn metric(address: &str, name: &str) -> f64 {
    let client = Client::new(&format!("http://{address}/").parse().unwrap());
    let answer = client.get("/metrics").send().await.expect(200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect(&text).parse().unwrap()
}

#[tokio::test]
async fn a_damaged_blob_is_missing_until_it_is_pushed_again() {
    let operators = free_address();
    let portcullis = Setup::up()
        .env("REGISTRY_HTTP_DEBUG_ADDR", &operators)
        .env("REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED", "true")
        .start()
        .await;
    let admin = portcullis.admin();
    let repository = admin.repository("admin/app");
    let other = admin.repository("admin/other");
    repository.push_blob(&empty_blob()).await;
    other.push_blob(&Blob::random(10)).await;
    let damaged = "registry_storage_damaged_blobs_total";
    assert!(metric(&operators, damaged).await < 1.0);

    for damage in DAMAGES {
        let blob = Blob::random(300_000);
        repository.push_blob(&blob).await;
        let path = format!("blobs/{}", blob.digest);
        let before = metric(&operators, damaged).await;
        damage(&portcullis.blob_file(&blob.digest));

        repository.head(&path).send().await.expect(404);
        let answer = repository.get_blob(&blob.digest).await;
        answer.expect_error(404, "BLOB_UNKNOWN");
        assert_eq!(mount(&repository, &other, &admin, &blob).await, 202);
        let answer = repository.put_manifest(&manifest_of(&blob), "v1").await;
        let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
        assert_eq!(answer.json()["errors"][0]["detail"]["digest"], blob.digest);
        assert!(metric(&operators, damaged).await >= before + 3.0);
        assert!(portcullis.log().contains(&blob.digest));

        repository.push_blob(&blob).await;
        repository.head(&path).send().await.expect(200);
        repository.expect_blob(&blob).await;
        assert_eq!(mount(&repository, &other, &admin, &blob).await, 201);
        repository.push_manifest(&manifest_of(&blob), "v1").await;
    }
}

#[tokio::test]
async fn a_proxy_is_not_told_of_a_damaged_file() {
    let portcullis = Setup::up()
        .env("REGISTRY_HTTP_TRUSTEDPROXIES", "[127.0.0.1]")
        .env("REGISTRY_HTTP_SENDFILE_HEADER", "X-Accel-Redirect")
        .start()
        .await;
    let repository = portcullis.admin().repository("admin/app");
    let get = |blob: &Blob| {
        let path = format!("blobs/{}", blob.digest);
        repository
            .get(&path)
            .header("x-sendfile-type", "X-Accel-Redirect")
    };
    let whole = Blob::random(300_000);
    repository.push_blob(&whole).await;
    get(&whole)
        .send()
        .await
        .expect(200)
        .header("x-accel-redirect");
    for damage in DAMAGES {
        let blob = Blob::random(300_000);
        repository.push_blob(&blob).await;
        damage(&portcullis.blob_file(&blob.digest));
        let answer = get(&blob).send().await.expect_error(404, "BLOB_UNKNOWN");
        assert!(!answer.has("x-accel-redirect"));
    }
}
