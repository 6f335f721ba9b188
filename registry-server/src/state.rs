//! What every request has at hand.

use std::sync::Arc;

use crate::auth::Gatekeeper;
use crate::clock::Clock;
use crate::http::Site;
use crate::registry::Registry;

/// Shared by all workers.
#[derive(Debug)]
pub struct State {
    pub registry: Arc<Registry>,
    pub gatekeeper: Gatekeeper,
    pub clock: Clock,
    pub site: Site,
}
