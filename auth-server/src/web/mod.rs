//! Pages for people: rendered here, without scripts, readable in any browser.

pub(crate) mod home;
mod security_headers;
