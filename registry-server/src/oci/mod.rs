//! The nouns of the OCI specifications, as pure values: no I/O, no clock, nothing asynchronous.
//!
//! - [`Digest`], [`Algorithm`]: the name of content; [`Hasher`] and [`Midstate`] compute it, over
//!   several requests if need be.
//! - [`Reference`], [`Tag`]: what a manifest is asked for by.
//! - [`MediaType`] and [`media_type`]: content types without their parameters.
//! - [`Descriptor`], [`Manifest`]: what a pushed manifest says, bounded and checked.
//!
//! Everything here parses what strangers send: each parser has property tests and is a target for
//! fuzzing. Names of repositories live in `registry-token`, because tokens speak of them too.

mod descriptor;
mod digest;
mod fields;
mod hasher;
mod manifest;
pub mod media_type;
mod reference;

pub use self::descriptor::{Descriptor, DescriptorError, Platform};
pub use self::digest::{Algorithm, Digest, DigestError};
pub use self::hasher::{Hasher, Midstate, MidstateError};
pub use self::manifest::{
    MAX_MANIFEST_BYTES, MAX_REFERENCES, Manifest, ManifestError, ManifestFormat,
};
pub use self::media_type::MediaType;
pub use self::reference::{Reference, ReferenceError, Tag};
