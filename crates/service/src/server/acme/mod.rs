//! Certificates ordered from an ACME authority such as Let's Encrypt (RFC 8555), by the server that
//! shows them.
//!
//! The authority connects to the name on port 443 and looks for a certificate that only the holder of
//! the account can make (TLS-ALPN-01, RFC 8737). So nothing but the listener is needed, and no route.
//!
//! - [`settings`]: `http.tls.letsencrypt`, and what is refused
//! - [`cache`]: account, certificate and key on the disk
//! - [`challenge`]: the certificates that answer the authority
//! - [`order`]: what is said to the authority
//! - [`renewal`]: when, again and again
//!
//! Whatever goes wrong leaves the listener as it was: with the certificate that it has, or before the
//! first one with a placeholder that nobody trusts.

mod cache;
mod challenge;
mod order;
mod renewal;
mod settings;

pub use self::cache::CacheError;
pub use self::settings::LetsEncryptSettings;

pub(super) use self::cache::Issued;
pub(super) use self::challenge::{Challenges, PROTOCOL, placeholder};
pub(super) use self::renewal::{Renewal, Term};
