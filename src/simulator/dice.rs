//! Chance: keys, signatures, internal data.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use ring::rand::{SecureRandom, SystemRandom};

/// Where the simulator's random texts come from.
#[derive(Debug)]
pub(super) struct Dice(SystemRandom);

impl Dice {
    pub(super) fn new() -> Dice {
        Dice(SystemRandom::new())
    }

    /// A device key: 32 hexadecimal digits.
    pub(super) fn key(&self) -> String {
        HEXLOWER.encode(&self.bytes::<16>())
    }

    /// A receipt's internal data: 26 base32 characters.
    pub(super) fn internal_data(&self) -> String {
        BASE32_NOPAD.encode(&self.bytes::<16>())
    }

    /// A receipt's signature: 16 base32 characters.
    pub(super) fn signature(&self) -> String {
        BASE32_NOPAD.encode(&self.bytes::<10>())
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).expect("the system has randomness");
        bytes
    }
}
