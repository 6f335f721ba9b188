//! Drives the real program the way people and their clients do.
//!
//! - [`Portcullis`] starts it, all in one or as two servers, kills it and starts it again;
//!   [`Process`] is any server under test, and [`peers`] are other people's.
//! - [`Client`] and [`Repository`] speak the registry's API in the few words tests need; [`raw`]
//!   speaks HTTP that no client library would send.
//! - [`content`] makes blobs, manifests and images.
//! - [`compose`] runs the whole of it in containers.
//! - [`tools`] are the real clients: docker, skopeo, podman; [`browser`] is a real browser.
//! - [`acme`] issues certificates as Let's Encrypt does.
//! - [`proxy`] puts nginx or Apache in front, as the repository configures them, with certificates
//!   of a private authority, [`pki`].
//! - [`sandbox`] is this machine with an `/etc` and ports that a test may use as it likes.
//! - [`machine`] is one that systemd runs.
//! - [`images`] are those that containers run.
//! - [`Running`] is any other program beside a test.
//! - [`disk`] is a small disk that fills up or turns read-only.
//!
//! Every test starts its own servers on free ports with folders of its own, so tests never meet.
//! Whatever fails says what was asked and what came back; a server's log is printed with it.
//!
//! The tests themselves are in `acceptance/`, laid out by capability.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "test support: whatever does not work should stop the test, loudly"
)]
#![allow(
    clippy::return_self_not_must_use,
    reason = "what comes back checked is often not needed any more"
)]

pub mod acme;
pub mod browser;
pub mod client;
pub mod collector;
pub mod compose;
pub mod content;
pub mod disk;
pub mod fault;
pub mod gitlab;
pub mod images;
pub mod invocation;
pub mod machine;
pub mod peers;
pub mod pki;
mod portcullis;
mod process;
pub mod proxy;
pub mod raw;
mod running;
pub mod sandbox;
pub mod served;
pub mod tokens;
pub mod tools;

pub use client::{Answer, Client, Repository, Upload};
pub use content::{Blob, Image, Manifest};
pub use invocation::{Finished, Invocation, portcullis_binary};
pub use pki::Pki;
pub use portcullis::{
    ADMIN_PASSWORD, Databases, LoneRegistry, Portcullis, Setup, fresh_postgres, host,
};
pub use process::{Launch, Process, Ready};
pub use proxy::{Front, Proxy};
pub use running::Running;
