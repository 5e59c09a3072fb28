//! One frame: fields to bytes. The way back is [`Receiver`](super::Receiver)'s.

/// Record separator: a frame begins, and nothing else does (1.4).
pub(super) const RS: u8 = 0x1E;
/// Ends DATA (1.4).
pub(super) const ETX: u8 = 0x03;
/// Ends a frame (1.4), and a line (1.11).
pub(super) const LF: u8 = b'\n';
/// "Are you there?", from the register (1.5).
pub(super) const ENQ: u8 = 0x05;
/// Answer to ENQ: ready for a sale (1.5). Never a receipt for one.
pub(super) const ACK: u8 = 0x06;
/// Damaged on the line: send the same bytes again (1.5).
pub(super) const NAK: u8 = 0x15;
/// Working (1.5).
pub(super) const SYN: u8 = 0x16;
/// Alive, but a sale sent now would get 503 (1.5).
pub(super) const CAN: u8 = 0x18;

/// The longest DATA, in bytes.
pub const MAX_DATA: usize = 0xFFFF;
/// LEN, SEQ and TYPE.
pub(super) const HEAD: usize = 7;
/// CRC and LF.
pub(super) const TAIL: usize = 9;
/// What a frame has beside DATA: RS, head, ETX, tail.
pub(super) const OVERHEAD: usize = 1 + HEAD + 1 + TAIL;

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The register's count, 1 to 255; 0 in HELLO and its reply.
    pub seq: u8,
    /// An ASCII letter: upper case from the register, lower case from the gateway.
    pub kind: u8,
    /// One JSON object, or nothing.
    pub data: Vec<u8>,
}

/// DATA that no frame can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unframeable {
    /// It has a byte below 20h.
    #[error("there is a control character at byte {0}")]
    Control(usize),
    /// It has more than [`MAX_DATA`] bytes.
    #[error("it has {0} bytes, a frame carries {MAX_DATA}")]
    TooLong(usize),
}

impl Frame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// DATA is too long, or has control characters.
    pub fn encode(&self) -> Result<Vec<u8>, Unframeable> {
        let length = u16::try_from(self.data.len()).map_err(|_| Unframeable::TooLong(self.data.len()))?;
        if let Some(place) = self.data.iter().position(|byte| *byte < 0x20) {
            return Err(Unframeable::Control(place));
        }
        let mut bytes = Vec::with_capacity(self.data.len() + OVERHEAD);
        bytes.push(RS);
        bytes.extend_from_slice(format!("{length:04X}{:02X}", self.seq).as_bytes());
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.data);
        bytes.push(ETX);
        let check = checksum(&bytes[1..]);
        bytes.extend_from_slice(format!("{check:08X}").as_bytes());
        bytes.push(LF);
        Ok(bytes)
    }
}

/// CRC-32 as zip and Ethernet have it (1.4).
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// A number in upper-case hexadecimal, all of `digits`; lower case is no number here (1.4).
pub(super) fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        number.checked_mul(16)?.checked_add(u32::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::tests::{EXAMPLES, Example};

    #[test]
    fn the_check_is_the_one_of_zip() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_worked_examples_are_made_byte_for_byte() {
        for Example { seq, kind, data, bytes } in EXAMPLES {
            let frame = Frame { seq: *seq, kind: *kind, data: data.as_bytes().to_vec() };
            assert_eq!(frame.encode().unwrap(), bytes.as_bytes(), "{data}");
        }
    }

    #[test]
    fn what_no_frame_can_carry_is_told() {
        let encode = |data: Vec<u8>| Frame { seq: 1, kind: b's', data }.encode();
        assert_eq!(encode(vec![b' '; MAX_DATA]).unwrap().len(), MAX_DATA + OVERHEAD);
        assert_eq!(encode(vec![b' '; MAX_DATA + 1]), Err(Unframeable::TooLong(MAX_DATA + 1)));
        assert_eq!(encode(b"{\n}".to_vec()), Err(Unframeable::Control(1)));
    }

    #[test]
    fn hexadecimal_is_upper_case() {
        let check = |text: &str, expected| assert_eq!(hexadecimal(text.as_bytes()), expected, "{text}");
        check("00FF", Some(255));
        check("FFFFFFFF", Some(u32::MAX));
        for bad in ["00ff", "00FG", " 0FF", "+0FF", "1FFFFFFFF"] {
            check(bad, None);
        }
    }
}
