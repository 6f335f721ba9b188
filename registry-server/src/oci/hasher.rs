//! [`Hasher`]: a digest computed piece by piece; [`Midstate`]: where it stands between requests.
//!
//! An upload may take several requests, processes and replicas. The midstate travels with the
//! acknowledged offset in the database, so nobody ever reads a layer again to continue its digest.

use sha2::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Sha256, Sha512};

use super::{Algorithm, Digest};

/// The layout of [`Midstate`]: raise it when `sha2` changes its own (it promises not to within a
/// minor version). A midstate of another version cannot be resumed and the bytes are read again.
const LAYOUT: u8 = 1;

/// Computes a [`Digest`] from bytes that arrive one piece after another.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    length: u64,
}

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// A [`Hasher`] at rest: some 120 (SHA-256) or 220 (SHA-512) bytes, opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Midstate(Vec<u8>);

/// The midstate was written by another version, or is damaged. The bytes must be hashed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored hash state cannot be resumed")]
pub struct MidstateError;

impl Hasher {
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        };
        Self { state, length: 0 }
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.state {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Bytes hashed so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Sha512(hasher) => hasher.update(bytes),
        }
        self.length += bytes.len() as u64;
    }

    #[must_use]
    pub fn finish(self) -> Digest {
        match self.state {
            State::Sha256(hasher) => Digest::from_bytes(Algorithm::Sha256, &hasher.finalize()),
            State::Sha512(hasher) => Digest::from_bytes(Algorithm::Sha512, &hasher.finalize()),
        }
    }

    #[must_use]
    pub fn midstate(&self) -> Midstate {
        let tag = match self.state {
            State::Sha256(_) => 0,
            State::Sha512(_) => 1,
        };
        let mut bytes = vec![LAYOUT, tag];
        bytes.extend_from_slice(&self.length.to_be_bytes());
        match &self.state {
            State::Sha256(hasher) => bytes.extend_from_slice(&hasher.serialize()),
            State::Sha512(hasher) => bytes.extend_from_slice(&hasher.serialize()),
        }
        Midstate(bytes)
    }

    /// Goes on where [`midstate`](Self::midstate) was taken.
    pub fn resume(midstate: &Midstate) -> Result<Self, MidstateError> {
        let [LAYOUT, tag, rest @ ..] = midstate.0.as_slice() else {
            return Err(MidstateError);
        };
        let (length, state) = rest.split_first_chunk().ok_or(MidstateError)?;
        let state = match tag {
            0 => State::Sha256(restore(state)?),
            1 => State::Sha512(restore(state)?),
            _ => return Err(MidstateError),
        };
        Ok(Self {
            state,
            length: u64::from_be_bytes(*length),
        })
    }
}

fn restore<H: SerializableState>(bytes: &[u8]) -> Result<H, MidstateError> {
    let state = SerializedState::<H>::try_from(bytes).map_err(|_| MidstateError)?;
    H::deserialize(&state).map_err(|_| MidstateError)
}

impl Midstate {
    /// For storing; [`Midstate::from`] takes them back.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Midstate {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers() {
        // FIPS 180-4 examples.
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"abc");
        assert_eq!(
            hasher.finish().hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        assert!(
            hasher
                .finish()
                .hex()
                .starts_with("ddaf35a193617abacc417349ae204131")
        );
    }

    #[test]
    fn a_midstate_of_another_layout_or_length_is_refused() {
        let midstate = Hasher::new(Algorithm::Sha256).midstate();
        let mut other = midstate.clone();
        other.0[0] = LAYOUT + 1;
        assert_eq!(Hasher::resume(&other).unwrap_err(), MidstateError);
        let mut other = midstate.clone();
        other.0[1] = 9;
        assert_eq!(Hasher::resume(&other).unwrap_err(), MidstateError);
        let mut other = midstate.clone();
        other.0.push(0);
        assert_eq!(Hasher::resume(&other).unwrap_err(), MidstateError);
        assert_eq!(
            Hasher::resume(&Midstate(Vec::new())).unwrap_err(),
            MidstateError
        );
    }

    proptest! {
        #[test]
        fn a_digest_does_not_depend_on_where_it_was_interrupted(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            wide: bool,
        ) {
            let algorithm = if wide { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let mut hasher = Hasher::new(algorithm);
            for piece in &pieces {
                hasher.update(piece);
                let stored = hasher.midstate().as_bytes().to_vec();
                hasher = Hasher::resume(&Midstate::from(stored)).unwrap();
            }
            let whole = pieces.concat();
            prop_assert_eq!(hasher.length(), whole.len() as u64);
            prop_assert_eq!(hasher.algorithm(), algorithm);
            prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &whole));
        }

        #[test]
        fn damaged_midstates_never_panic(bytes: Vec<u8>, cut in 0_usize..120) {
            let _ = Hasher::resume(&Midstate(bytes));
            let mut midstate = Hasher::new(Algorithm::Sha256).midstate();
            midstate.0.truncate(cut);
            if let Ok(mut hasher) = Hasher::resume(&midstate) {
                hasher.update(b"x");
                let _ = hasher.finish();
            }
        }
    }
}
