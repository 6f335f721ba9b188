//! Why a token is not believed, in words for the challenge, the log and the doctor.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{Algorithm, CertificateError, text::ShownText};

/// Why a token was refused.
///
/// The sentences hold nothing secret and nothing that could break a header, so a client may see
/// them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH).
    #[error(
        "the token has {length} bytes, more than {} are not accepted",
        crate::MAX_TOKEN_LENGTH
    )]
    TooLong {
        /// The length of the refused token in bytes.
        length: usize,
    },
    /// No JSON Web Token, or one whose parts are not what they should be.
    #[error("the token is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: ShownText,
    },
    /// The header demands an algorithm that is unknown, unsafe or not allowed here.
    #[error("the token is signed with algorithm \"{algorithm}\", which is not allowed here")]
    AlgorithmNotAllowed {
        /// The header's `alg`.
        algorithm: ShownText,
    },
    /// The header's algorithm cannot be used with the key it points at.
    #[error("the token is signed with algorithm {algorithm}, but its key is not for {algorithm}")]
    AlgorithmMismatch {
        /// The header's `alg`.
        algorithm: Algorithm,
    },
    /// No trusted key goes by the token's key id.
    #[error("the token's key \"{key_id}\" is not among the trusted keys")]
    UnknownKey {
        /// The header's `kid`.
        key_id: ShownText,
    },
    /// The token names no key at all, and no trusted key fits its algorithm.
    #[error("the token names no key, and no trusted key is for {algorithm}")]
    NoKey {
        /// The header's `alg`.
        algorithm: Algorithm,
    },
    /// The certificates in the header lead to no trusted certificate.
    #[error("the token's certificate \"{subject}\" does not lead to a trusted certificate")]
    UntrustedChain {
        /// The subject of the first certificate.
        subject: ShownText,
    },
    /// A certificate in the header cannot be used.
    #[error("the token's certificate chain: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: CertificateError,
    },
    /// A certificate on the way to the trusted ones has run out.
    #[error("the certificate \"{subject}\" expired at {}", utc(*at))]
    CertificateExpired {
        /// Whose certificate.
        subject: ShownText,
        /// When it ended.
        at: DateTime<Utc>,
    },
    /// A certificate on the way to the trusted ones is not valid yet.
    #[error("the certificate \"{subject}\" is not valid before {}", utc(*from))]
    CertificateNotYetValid {
        /// Whose certificate.
        subject: ShownText,
        /// When it starts.
        from: DateTime<Utc>,
    },
    /// The signature is not the key's.
    #[error("the token's signature does not match its key")]
    BadSignature,
    /// Made by someone else.
    #[error("the token was issued by \"{found}\", expected \"{expected}\"")]
    WrongIssuer {
        /// What the verifier is set to believe.
        expected: ShownText,
        /// The claim `iss`.
        found: ShownText,
    },
    /// Made for someone else.
    #[error("the token is for the service \"{found}\", expected \"{expected}\"")]
    WrongAudience {
        /// The verifier's own service.
        expected: ShownText,
        /// The claim `aud`.
        found: ShownText,
    },
    /// Over.
    #[error("the token expired at {}", utc(*at))]
    Expired {
        /// The claim `exp`.
        at: DateTime<Utc>,
    },
    /// Too early, which usually means that two clocks disagree.
    #[error("the token is not valid before {}: do the clocks agree?", utc(*from))]
    NotYetValid {
        /// The claim `nbf`.
        from: DateTime<Utc>,
    },
}

impl VerifyError {
    pub(crate) fn malformed(reason: &str) -> Self {
        Self::Malformed {
            reason: ShownText::new(reason),
        }
    }

    pub(crate) fn bad_json(part: &str, error: &serde_json::Error) -> Self {
        let message = error.to_string();
        // Where in the decoded bytes it stands helps nobody who holds the encoded token.
        let what = message
            .rsplit_once(" at line ")
            .map_or(&*message, |(what, _)| what);
        Self::malformed(&format!("its {part}: {what}"))
    }

    /// Whether newer keys might change the answer.
    pub(crate) fn is_about_unknown_keys(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey { .. } | Self::NoKey { .. } | Self::UntrustedChain { .. }
        )
    }
}

fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
