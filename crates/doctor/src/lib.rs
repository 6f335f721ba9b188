//! Finds out what is wrong with a registry's deployment, and says what to change.
//!
//! Probes look ([`network`], [`http`], [`files`], [`certificate`]) and come back with observations; verdicts
//! are pure functions over these ([`tls`], [`challenge`], [`token`], [`location`],
//! [`upload_verdicts`]), and go into a [`report`] in the order in which things depend on each other.
//! [`outside`] is the order of what can be seen from anywhere, [`inside`] from the servers' machine,
//! [`machine`] of what clients on this machine are told.
//!
//! Nothing here prints, reads a configuration file of a server, or knows the servers: who calls
//! hands over what it has read as plain data. Nothing here shows a secret, and none goes over a
//! connection that is not trusted.

mod access;
pub mod certificate;
mod challenge;
mod clocks;
mod difference;
mod download;
pub mod files;
mod http;
pub mod inside;
mod location;
pub mod machine;
mod network;
pub mod outside;
mod reach;
mod realm;
pub mod report;
#[cfg(test)]
mod testing;
mod tls;
pub mod token;
pub mod trust;
mod upload;
mod upload_verdicts;

pub use self::http::Clock;
pub use self::outside::{Credentials, Outside};
pub use self::report::{Finding, Report, Status, Verdict};
