//! What happens without a request.
//!
//! - [`sweep`]: removes what nobody goes on with, and what crashes have left behind.
//! - [`sweep_regularly`]: does so again and again.

mod sweep;
mod sweep_regularly;

pub use self::sweep::{SweepError, SweepOptions, SweepReport, sweep};
pub use self::sweep_regularly::{Swept, sweep_regularly};
