//! What happens without a request.
//!
//! - [`expire_uploads`]: drops sessions that nobody goes on with, again and again.
//! - [`sweep`]: removes what crashes have left behind, when asked.

mod expire_uploads;
mod sweep;

pub use self::expire_uploads::expire_uploads;
pub use self::sweep::{SweepError, SweepOptions, SweepReport, sweep};
