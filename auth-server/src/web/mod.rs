//! Pages for people: rendered here, readable in any browser; without scripts, but for the explorer.

pub(crate) mod explorer;
pub(crate) mod home;
mod security_headers;
