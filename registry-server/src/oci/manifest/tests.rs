use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::oci::Algorithm;

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(Algorithm::Sha256, content.as_bytes()),
        "size": content.len(),
    })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_CONFIG, "config"),
        "layers": [
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "one"),
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "two"),
        ],
    })
}

fn index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": [descriptor(media_type::OCI_MANIFEST, "child")],
    })
}

fn with(mut manifest: Value, key: &str, value: Value) -> Value {
    manifest[key] = value;
    manifest
}

fn without(mut manifest: Value, key: &str) -> Value {
    manifest.as_object_mut().unwrap().remove(key);
    manifest
}

fn parse(manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(None, manifest.to_string().as_bytes())
}

fn parse_as(content_type: &str, manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(Some(content_type), manifest.to_string().as_bytes())
}

#[test]
fn an_image_refers_to_its_config_and_layers() {
    let manifest = parse(&image()).unwrap();
    assert_eq!(manifest.format, ManifestFormat::OciManifest);
    let required: Vec<u64> = manifest.required_blobs().map(|blob| blob.size).collect();
    assert_eq!(required, [6, 3, 3]);
    assert_eq!(manifest.optional_references().count(), 0);
    assert_eq!(
        manifest.artifact_type.as_deref(),
        Some(media_type::OCI_CONFIG)
    );
}

#[test]
fn an_index_refers_to_manifests_that_need_not_exist() {
    let manifest = parse(&index()).unwrap();
    assert!(manifest.format.is_index());
    assert_eq!(manifest.required_blobs().count(), 0);
    let named: Vec<&Digest> = manifest.optional_references().collect();
    assert_eq!(named, [&Digest::of(Algorithm::Sha256, b"child")]);
    assert_eq!(manifest.artifact_type, None);
}

#[test]
fn foreign_layers_are_named_and_not_required() {
    let mut foreign = image();
    foreign["layers"][0]["mediaType"] = json!(media_type::DOCKER_FOREIGN_LAYER);
    foreign["layers"][1]["urls"] = json!(["https://example.com/layer"]);
    let manifest = parse(&foreign).unwrap();
    assert_eq!(manifest.required_blobs().count(), 1);
    assert_eq!(manifest.optional_references().count(), 2);
}

#[test]
fn docker_schema_2_is_understood() {
    let docker = with(image(), "mediaType", json!(media_type::DOCKER_MANIFEST));
    assert_eq!(
        parse(&docker).unwrap().format,
        ManifestFormat::DockerManifest
    );
    let list = with(index(), "mediaType", json!(media_type::DOCKER_LIST));
    assert_eq!(parse(&list).unwrap().format, ManifestFormat::DockerList);
}

#[test]
fn subject_annotations_and_artifact_type_are_extracted() {
    let mut artifact = with(
        image(),
        "subject",
        descriptor(media_type::OCI_MANIFEST, "subject"),
    );
    artifact["annotations"] = json!({"a": "b"});
    artifact["artifactType"] = json!("application/vnd.example.sbom");
    artifact["somethingNew"] = json!({"layers": [1, 2]});
    let manifest = parse(&artifact).unwrap();
    assert_eq!(manifest.subject.unwrap().size, 7);
    assert_eq!(manifest.annotations["a"], "b");
    assert_eq!(
        manifest.artifact_type.as_deref(),
        Some("application/vnd.example.sbom")
    );
    let of_index = with(index(), "artifactType", json!("application/x"));
    assert_eq!(
        parse(&of_index).unwrap().artifact_type.as_deref(),
        Some("application/x")
    );
    // An empty one counts as none.
    let empty = with(image(), "artifactType", json!(""));
    assert_eq!(
        parse(&empty).unwrap().artifact_type.as_deref(),
        Some(media_type::OCI_CONFIG)
    );
}

#[test]
fn header_and_body_must_agree() {
    parse_as(media_type::OCI_MANIFEST, &image()).unwrap();
    parse_as(
        "Application/vnd.oci.image.manifest.v1+json; charset=utf-8",
        &image(),
    )
    .unwrap();
    let error = parse_as(media_type::DOCKER_MANIFEST, &image()).unwrap_err();
    assert!(
        matches!(error, ManifestError::MediaTypeMismatch { .. }),
        "{error}"
    );
    let error = parse_as(media_type::OCI_INDEX, &image()).unwrap_err();
    assert!(
        matches!(error, ManifestError::MediaTypeMismatch { .. }),
        "{error}"
    );
    let error = parse_as("nonsense", &image()).unwrap_err();
    assert!(matches!(error, ManifestError::ContentType), "{error}");
    let error = parse_as("text/plain", &image()).unwrap_err();
    assert!(
        matches!(&error, ManifestError::UnsupportedMediaType(name) if name == "text/plain"),
        "{error}"
    );
}

#[test]
fn one_of_header_and_body_is_enough() {
    for (manifest, media_type, format) in [
        (
            image(),
            media_type::OCI_MANIFEST,
            ManifestFormat::OciManifest,
        ),
        (
            image(),
            media_type::DOCKER_MANIFEST,
            ManifestFormat::DockerManifest,
        ),
        (index(), media_type::OCI_INDEX, ManifestFormat::OciIndex),
        (index(), media_type::DOCKER_LIST, ManifestFormat::DockerList),
    ] {
        let silent = without(manifest.clone(), "mediaType");
        assert_eq!(parse_as(media_type, &silent).unwrap().format, format);
        let speaking = with(manifest, "mediaType", json!(media_type));
        assert_eq!(parse(&speaking).unwrap().format, format);
    }
    // The structure alone.
    let silent = without(image(), "mediaType");
    assert_eq!(parse(&silent).unwrap().format, ManifestFormat::OciManifest);
    let silent = without(index(), "mediaType");
    assert_eq!(parse(&silent).unwrap().format, ManifestFormat::OciIndex);
    let error = parse(&json!({"schemaVersion": 2})).unwrap_err();
    assert!(matches!(error, ManifestError::Unrecognized), "{error}");
}

#[test]
fn schema_1_is_refused_by_name() {
    let schema_1 = json!({"schemaVersion": 1, "fsLayers": [], "history": []});
    for content_type in [
        None,
        Some(media_type::DOCKER_SCHEMA_1),
        Some(media_type::DOCKER_SCHEMA_1_SIGNED),
        Some("application/json"),
    ] {
        let error = Manifest::parse(content_type, schema_1.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, ManifestError::Schema1), "{error}");
    }
    let error = parse_as(media_type::DOCKER_SCHEMA_1, &image()).unwrap_err();
    assert!(matches!(error, ManifestError::Schema1), "{error}");
}

#[test]
fn the_schema_version_is_2() {
    for version in [json!(0), json!(3), json!(-1)] {
        let error = parse(&with(image(), "schemaVersion", version)).unwrap_err();
        assert!(matches!(error, ManifestError::SchemaVersion), "{error}");
    }
    let error = parse(&without(image(), "schemaVersion")).unwrap_err();
    assert!(
        matches!(error, ManifestError::Missing("schemaVersion")),
        "{error}"
    );
    let error = parse(&with(image(), "schemaVersion", json!("2"))).unwrap_err();
    assert!(matches!(error, ManifestError::Field(_)), "{error}");
}

#[test]
fn a_document_that_is_two_things_is_refused() {
    for (manifest, field) in [
        (with(image(), "manifests", json!([])), "manifests"),
        (with(image(), "fsLayers", json!([])), "fsLayers"),
        (with(index(), "layers", json!([])), "layers"),
        (
            with(index(), "config", descriptor(media_type::OCI_CONFIG, "c")),
            "config",
        ),
    ] {
        for candidate in [manifest.clone(), without(manifest, "mediaType")] {
            let error = parse(&candidate).unwrap_err();
            assert!(
                matches!(error, ManifestError::Ambiguous { .. }),
                "{field}: {error}"
            );
        }
    }
}

#[test]
fn null_counts_as_absent() {
    let mut manifest = with(image(), "subject", Value::Null);
    manifest["annotations"] = Value::Null;
    manifest["manifests"] = Value::Null;
    manifest["layers"] = Value::Null;
    let manifest = parse(&manifest).unwrap();
    assert!(manifest.layers.is_empty() && manifest.subject.is_none());
    assert!(parse(&with(index(), "manifests", Value::Null)).is_ok());
    let error = parse(&with(image(), "config", Value::Null)).unwrap_err();
    assert!(matches!(error, ManifestError::Missing("config")), "{error}");
    let error = parse(&without(index(), "manifests")).unwrap_err();
    assert!(
        matches!(error, ManifestError::Missing("manifests")),
        "{error}"
    );
}

#[test]
fn keys_that_clients_read_differently_are_refused() {
    let text = image().to_string();
    for more in [
        "\"layers\":[]",
        "\"Layers\":[]",
        "\"SUBJECT\":{}",
        "\"manifest\\u017f\":[]",
        "\"unknown\":1,\"unknown\":2",
    ] {
        let text = text.replacen('{', &format!("{{{more},"), 1);
        let error = Manifest::parse(None, text.as_bytes()).unwrap_err();
        assert!(matches!(error, ManifestError::Json(_)), "{more}: {error}");
    }
}

#[test]
fn a_faulty_descriptor_is_located() {
    let mut manifest = image();
    manifest["layers"][1]["size"] = json!(-1);
    let error = parse(&manifest).unwrap_err();
    assert!(
        error.to_string().starts_with("layers[1]: `size`"),
        "{error}"
    );
    let manifest = with(image(), "subject", json!({"digest": "sha256:x"}));
    let error = parse(&manifest).unwrap_err();
    assert!(error.to_string().starts_with("subject: "), "{error}");
}

#[test]
fn what_is_no_manifest_is_refused() {
    for body in ["", "{", "[]", "null", "\"manifest\"", "{}x", "\u{0}"] {
        let error = Manifest::parse(None, body.as_bytes()).unwrap_err();
        assert!(matches!(error, ManifestError::Json(_)), "{body:?}: {error}");
    }
    for (key, value) in [
        ("layers", json!({})),
        ("annotations", json!({"a": 1})),
        ("artifactType", json!(1)),
        ("mediaType", json!([])),
    ] {
        let error = parse(&with(image(), key, value)).unwrap_err();
        assert!(
            matches!(&error, ManifestError::Field(field) if field.key == key),
            "{error}"
        );
    }
}

#[test]
fn size_and_number_of_references_are_bounded() {
    let padded = with(image(), "padding", json!("x".repeat(MAX_MANIFEST_BYTES)));
    let error = parse(&padded).unwrap_err();
    assert!(matches!(error, ManifestError::TooLarge), "{error}");

    let layer = descriptor("application/x", "l");
    let most = with(
        image(),
        "layers",
        json!(vec![layer.clone(); MAX_REFERENCES]),
    );
    assert_eq!(parse(&most).unwrap().layers.len(), MAX_REFERENCES);
    let more = with(image(), "layers", json!(vec![layer; MAX_REFERENCES + 1]));
    let error = parse(&more).unwrap_err();
    assert!(matches!(error, ManifestError::TooManyReferences), "{error}");
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let text = format!("{{\"schemaVersion\":2,\"deep\":{deep}}}");
    assert!(Manifest::parse(None, text.as_bytes()).is_err());
    let text = format!("{{\"schemaVersion\":2,\"subject\":{deep}}}");
    assert!(Manifest::parse(None, text.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        body in "\\PC{0,80}|[{}\\[\\]\",:a-z0-9]{0,80}",
        content_type in prop::option::of("\\PC{0,30}"),
    ) {
        let _ = Manifest::parse(content_type.as_deref(), body.as_bytes());
    }

    /// Any single byte changed in a valid manifest gives an error or a manifest, never a panic, and
    /// never one that requires more than was listed.
    #[test]
    fn a_damaged_manifest_never_grows(position: prop::sample::Index, byte: u8) {
        let mut body = image().to_string().into_bytes();
        let position = position.index(body.len());
        body[position] = byte;
        if let Ok(manifest) = Manifest::parse(None, &body) {
            prop_assert!(manifest.required_blobs().count() <= 3);
        }
    }

    #[test]
    fn what_is_listed_is_what_is_required(contents in prop::collection::vec("[a-z]{1,8}", 0..20)) {
        let layers: Vec<Value> = contents
            .iter()
            .map(|content| descriptor("application/x", content))
            .collect();
        let manifest = parse(&with(image(), "layers", json!(layers))).unwrap();
        let required: Vec<Digest> = manifest
            .required_blobs()
            .skip(1)
            .map(|blob| blob.digest.clone())
            .collect();
        let expected: Vec<Digest> = contents
            .iter()
            .map(|content| Digest::of(Algorithm::Sha256, content.as_bytes()))
            .collect();
        prop_assert_eq!(required, expected);
    }
}
