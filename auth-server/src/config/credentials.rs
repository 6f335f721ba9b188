//! The sections `login`, `session` and `accesstoken`: how credentials are protected, and how long
//! they last.

use serde::{Deserialize, Deserializer, de};

use super::values::{Number, Span};
use crate::accounts::TokenPolicy;
use crate::accounts::session::SessionPolicy;
use crate::accounts::throttle::ThrottlePolicy;

/// `login`: what happens to wrong passwords.
#[derive(Clone, Copy, Debug)]
pub struct LoginSettings {
    /// How many for one account are free. Some clients send a wrong one twice.
    pub threshold: Number<1, 1_000>,
    /// How many from one address are free, whatever the account.
    pub addressthreshold: Number<1, 100_000>,
    /// How long the first that is not free blocks; each further one blocks for twice as long.
    pub basedelay: Span<1, 3_600>,
    /// No block is longer.
    pub maxdelay: Span<1, 86_400>,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            threshold: Number::clamped(10),
            addressthreshold: Number::clamped(50),
            basedelay: Span::clamped(1),
            maxdelay: Span::clamped(15 * 60),
        }
    }
}

impl<'de> Deserialize<'de> for LoginSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Login {
            threshold: Number<1, 1_000>,
            addressthreshold: Number<1, 100_000>,
            basedelay: Span<1, 3_600>,
            maxdelay: Span<1, 86_400>,
        }

        impl Default for Login {
            fn default() -> Self {
                let LoginSettings {
                    threshold,
                    addressthreshold,
                    basedelay,
                    maxdelay,
                } = LoginSettings::default();
                Self {
                    threshold,
                    addressthreshold,
                    basedelay,
                    maxdelay,
                }
            }
        }

        let login = Login::deserialize(deserializer)?;
        if login.maxdelay.get() < login.basedelay.get() {
            return Err(de::Error::custom(
                "maxdelay must not be shorter than basedelay, which it bounds",
            ));
        }
        Ok(Self {
            threshold: login.threshold,
            addressthreshold: login.addressthreshold,
            basedelay: login.basedelay,
            maxdelay: login.maxdelay,
        })
    }
}

impl LoginSettings {
    #[must_use]
    pub fn policy(&self) -> ThrottlePolicy {
        ThrottlePolicy {
            threshold: self.threshold.get(),
            address_threshold: self.addressthreshold.get(),
            base_delay: self.basedelay.get(),
            max_delay: self.maxdelay.get(),
        }
    }
}

/// `session`: how long a browser stays logged in.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// After its last request.
    pub idle: Span<300, 31_536_000>,
    /// After the login.
    pub lifetime: Span<300, 31_536_000>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle: Span::clamped(12 * 3_600),
            lifetime: Span::clamped(7 * 86_400),
        }
    }
}

impl<'de> Deserialize<'de> for SessionSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Session {
            idle: Option<Span<300, 31_536_000>>,
            lifetime: Option<Span<300, 31_536_000>>,
        }

        let session = Session::deserialize(deserializer)?;
        let default = Self::default();
        let lifetime = session.lifetime.unwrap_or(default.lifetime);
        let idle = match session.idle {
            Some(idle) if idle.get() > lifetime.get() => {
                return Err(de::Error::custom(
                    "idle must not be longer than lifetime, after which a session is over anyway",
                ));
            }
            Some(idle) => idle,
            None if default.idle.get() > lifetime.get() => lifetime,
            None => default.idle,
        };
        Ok(Self { idle, lifetime })
    }
}

impl SessionSettings {
    #[must_use]
    pub fn policy(&self) -> SessionPolicy {
        SessionPolicy {
            idle: self.idle.get(),
            lifetime: self.lifetime.get(),
        }
    }
}

/// `accesstoken`: personal and deploy tokens.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessTokenSettings {
    /// The longest that one may last, and how long one lasts if nobody says otherwise.
    pub maxlifetime: Span<3_600, 3_153_600_000>,
}

impl Default for AccessTokenSettings {
    fn default() -> Self {
        Self {
            maxlifetime: Span::clamped(365 * 86_400),
        }
    }
}

impl AccessTokenSettings {
    #[must_use]
    pub fn policy(&self) -> TokenPolicy {
        TokenPolicy {
            max_lifetime: self.maxlifetime.get(),
        }
    }
}
