//! [`State`]: what a transaction that we hold has come to.

use crate::Error;
use crate::error::Class;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Between two statements.
    Open,
    /// The database is at work. Who finds this when the transaction is dropped knows that a future was
    /// cancelled.
    Running,
    /// The database has given the transaction up, or may have: nothing more may run in it, since
    /// that would take effect by itself.
    Broken(Class),
    /// Committed.
    Ended,
}

impl State {
    /// Before each statement.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        match *self {
            Self::Open => {
                *self = Self::Running;
                Ok(())
            }
            Self::Broken(class) => Err(class.error(protocol(
                "an earlier statement of this transaction has failed",
            ))),
            Self::Running => Err(Class::Unavailable.error(protocol(
                "an earlier statement of this transaction was abandoned",
            ))),
            Self::Ended => Err(Class::Internal.error(protocol("the transaction has ended"))),
        }
    }

    /// After each. `spared`: whether the transaction goes on although the statement failed.
    pub(crate) fn ended(
        &mut self,
        result: Result<(), &sqlx::Error>,
        spared: fn(&sqlx::Error) -> bool,
    ) {
        *self = match result {
            Err(error) if !spared(error) => Self::Broken(Class::of(error)),
            Ok(()) | Err(_) => Self::Open,
        };
    }
}

fn protocol(text: &str) -> sqlx::Error {
    sqlx::Error::Protocol(text.to_owned())
}
