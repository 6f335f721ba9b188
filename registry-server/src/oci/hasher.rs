//! [`Hasher`]: a digest computed piece by piece; [`Midstate`]: where it stands between requests.
//!
//! An upload may take several requests, processes and replicas. The midstate travels with the
//! acknowledged offset in the database, so nobody ever reads a layer again to continue its digest.

use sha2::digest::block_buffer::EagerBuffer;
use sha2::digest::consts::{U64, U128};
use sha2::{compress256, compress512};

use super::{Algorithm, Digest};

/// The first byte of a [`Midstate`], to be raised when what follows changes: a midstate of another
/// layout cannot be resumed, and the bytes are read again.
const LAYOUT: u8 = 1;

/// FIPS 180-4, 5.3.3: the fractional parts of the square roots of the first eight primes.
const INITIAL_256: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// FIPS 180-4, 5.3.5.
const INITIAL_512: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Computes a [`Digest`] from bytes that arrive one piece after another.
///
/// The compression functions are `sha2`'s (with the processor's SHA instructions where it has
/// them); what stands around them is here because `sha2`'s own hashers of this version cannot be
/// stored, and those of the next are half as fast.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    length: u64,
}

/// The words of the digest so far, and the bytes that do not fill a block yet.
#[derive(Clone, Debug)]
enum State {
    Sha256([u32; 8], EagerBuffer<U64>),
    Sha512([u64; 8], EagerBuffer<U128>),
}

/// A [`Hasher`] at rest: at most 201 bytes, opaque.
///
/// Layout, algorithm (0: SHA-256, 1: SHA-512), length in bytes (8), words, bytes that do not fill a
/// block; numbers in big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Midstate(Vec<u8>);

/// The midstate was written by another version, or is damaged. The bytes must be hashed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored hash state cannot be resumed")]
pub struct MidstateError;

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(INITIAL_256, EagerBuffer::default()),
            Algorithm::Sha512 => State::Sha512(INITIAL_512, EagerBuffer::default()),
        };
        Self { state, length: 0 }
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.state {
            State::Sha256(..) => Algorithm::Sha256,
            State::Sha512(..) => Algorithm::Sha512,
        }
    }

    /// Bytes hashed so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(words, buffer) => {
                buffer.digest_blocks(bytes, |blocks| compress256(words, blocks));
            }
            State::Sha512(words, buffer) => {
                buffer.digest_blocks(bytes, |blocks| compress512(words, blocks));
            }
        }
        self.length += bytes.len() as u64;
    }

    pub fn finish(self) -> Digest {
        match self.state {
            State::Sha256(mut words, mut buffer) => {
                buffer.len64_padding_be(self.length.wrapping_mul(8), |block| {
                    compress256(&mut words, std::slice::from_ref(block));
                });
                Digest::from_bytes(
                    Algorithm::Sha256,
                    words.map(u32::to_be_bytes).as_flattened(),
                )
            }
            State::Sha512(mut words, mut buffer) => {
                buffer.len128_padding_be(u128::from(self.length) * 8, |block| {
                    compress512(&mut words, std::slice::from_ref(block));
                });
                Digest::from_bytes(
                    Algorithm::Sha512,
                    words.map(u64::to_be_bytes).as_flattened(),
                )
            }
        }
    }

    pub fn midstate(&self) -> Midstate {
        let mut bytes = vec![LAYOUT, 0];
        bytes.extend(self.length.to_be_bytes());
        match &self.state {
            State::Sha256(words, buffer) => {
                bytes.extend(words.map(u32::to_be_bytes).as_flattened());
                bytes.extend(buffer.get_data());
            }
            State::Sha512(words, buffer) => {
                bytes[1] = 1;
                bytes.extend(words.map(u64::to_be_bytes).as_flattened());
                bytes.extend(buffer.get_data());
            }
        }
        Midstate(bytes)
    }

    /// Goes on where [`midstate`](Self::midstate) was taken.
    pub fn resume(midstate: &Midstate) -> Result<Self, MidstateError> {
        Self::parse(&midstate.0).ok_or(MidstateError)
    }

    fn parse(midstate: &[u8]) -> Option<Self> {
        let [LAYOUT, tag, rest @ ..] = midstate else {
            return None;
        };
        let (length, rest) = rest.split_first_chunk()?;
        let length = u64::from_be_bytes(*length);
        let state = match tag {
            0 => {
                let (words, partial) = words(rest)?;
                let partial = partial_block(partial, length, 64)?;
                State::Sha256(
                    words.map(u32::from_be_bytes),
                    EagerBuffer::try_new(partial).ok()?,
                )
            }
            1 => {
                let (words, partial) = words(rest)?;
                let partial = partial_block(partial, length, 128)?;
                State::Sha512(
                    words.map(u64::from_be_bytes),
                    EagerBuffer::try_new(partial).ok()?,
                )
            }
            _ => return None,
        };
        Some(Self { state, length })
    }
}

/// Eight words of `WIDTH` bytes each, and what comes behind them.
fn words<const WIDTH: usize>(bytes: &[u8]) -> Option<([[u8; WIDTH]; 8], &[u8])> {
    let (words, rest) = bytes.split_at_checked(8 * WIDTH)?;
    let (words, _) = words.as_chunks::<WIDTH>();
    Some((words.try_into().ok()?, rest))
}

fn partial_block(bytes: &[u8], length: u64, block: u64) -> Option<&[u8]> {
    (bytes.len() as u64 == length % block).then_some(bytes)
}

impl Midstate {
    /// For storing; [`Midstate::from`] takes them back.
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
    use sha2::Digest as _;

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
            let expected = match algorithm {
                Algorithm::Sha256 => hex::encode(sha2::Sha256::digest(&whole)),
                Algorithm::Sha512 => hex::encode(sha2::Sha512::digest(&whole)),
            };
            prop_assert_eq!(hasher.length(), whole.len() as u64);
            prop_assert_eq!(hasher.algorithm(), algorithm);
            let digest = hasher.finish();
            prop_assert_eq!(digest.hex(), expected);
            prop_assert_eq!(digest, Digest::of(algorithm, &whole));
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
