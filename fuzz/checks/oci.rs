//! What must hold for any input of `registry-server`'s `oci`. Whoever includes this file has that
//! module at `crate::oci`.
//!
//! Each function is one fuzz target, and runs over the seeds as an ordinary test too.

#![allow(dead_code, reason = "each fuzz target calls one of the checks")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a check fails"
)]

use crate::oci::{
    Algorithm, Digest, Hasher, MAX_MANIFEST_BYTES, MAX_REFERENCES, Manifest, MediaType, Midstate,
    Reference,
};

/// A refusal goes into responses and logs.
fn is_bounded(sentence: &str, input: &[u8]) {
    assert!(sentence.len() < 512 + 8 * input.len(), "{sentence}");
}

/// The first line is the Content-Type header, unless it is empty; the rest is the manifest.
pub fn manifest(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n');
    let (header, body) = input.split_at(line.map_or(0, |line| line + 1));
    let Ok(header) = std::str::from_utf8(header) else {
        return;
    };
    let header = Some(header.trim_end_matches('\n')).filter(|header| !header.is_empty());
    match Manifest::parse(header, body) {
        Ok(manifest) => {
            assert!(body.len() <= MAX_MANIFEST_BYTES);
            assert!(manifest.layers.len() + manifest.manifests.len() <= MAX_REFERENCES);
            let media_type = manifest.format.media_type();
            if let Some(header) = header {
                let header: MediaType = header.parse().unwrap();
                assert_eq!(header.as_str(), media_type);
            }
            // Said again in so many words, it is the same.
            let again = Manifest::parse(Some(media_type), body).unwrap();
            assert_eq!(again, manifest);
            if manifest.format.is_index() {
                assert!(manifest.config.is_none() && manifest.layers.is_empty());
                assert_eq!(manifest.required_blobs().count(), 0);
            } else {
                assert!(manifest.config.is_some() && manifest.manifests.is_empty());
            }
            // Nothing is both required and optional by the same mention, and nothing is lost.
            let mentions =
                manifest.required_blobs().count() + manifest.optional_references().count();
            let listed = manifest.layers.len() + manifest.manifests.len();
            assert_eq!(mentions, listed + usize::from(manifest.config.is_some()));
            for blob in manifest.required_blobs() {
                assert!(i64::try_from(blob.size).is_ok());
            }
        }
        Err(error) => is_bounded(&error.to_string(), input),
    }
}

pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match text.parse::<Reference>() {
        Ok(reference) => {
            assert_eq!(reference.to_string(), text);
            assert!(!text.contains('/') && !text.starts_with('.') && text.is_ascii());
            match reference {
                Reference::Tag(tag) => assert!((1..=128).contains(&tag.as_str().len())),
                Reference::Digest(digest) => {
                    let hex = digest.hex();
                    assert_eq!(hex.len(), digest.algorithm().hex_len());
                    assert!(
                        hex.bytes()
                            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    );
                }
            }
        }
        Err(error) => is_bounded(&error.to_string(), input),
    }
}

/// A hash state from a damaged database: refused, or one that can be gone on with.
pub fn midstate(input: &[u8]) {
    let stored = Midstate::from(input.to_vec());
    let Ok(mut hasher) = Hasher::resume(&stored) else {
        return;
    };
    assert_eq!(hasher.midstate(), stored);
    let before = hasher.length();
    if before < u64::MAX / 2 {
        hasher.update(input);
        assert_eq!(hasher.length(), before + input.len() as u64);
    }
    let algorithm = hasher.algorithm();
    let digest = hasher.finish();
    assert_eq!(digest.algorithm(), algorithm);
    assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
    assert!(matches!(algorithm, Algorithm::Sha256 | Algorithm::Sha512));
}
