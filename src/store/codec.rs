//! Fixed-width big-endian fields, out to a buffer and back in from bytes that nobody vouches for.

use crate::store::record::Malformed;

/// Fields going out.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_i64(&mut self, value: i64);
    fn put_u128(&mut self, value: u128);
    /// At most 255 bytes, after their length in one byte. Callers have checked the length.
    fn put_short(&mut self, bytes: &[u8]);
    /// Any bytes, after their length in four.
    fn put_long(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_u128(&mut self, value: u128) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn put_short(&mut self, bytes: &[u8]) {
        self.put_u8(u8::try_from(bytes.len()).expect("short fields are checked when a record is taken"));
        self.extend_from_slice(bytes);
    }
    fn put_long(&mut self, bytes: &[u8]) {
        self.put_u32(length_u32(bytes.len()));
        self.extend_from_slice(bytes);
    }
}

/// A length inside a record or a segment, which are far smaller than 4 GiB.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a record is smaller than a segment, and a segment than 4 GiB")
}

/// A stored 32-bit length or offset as a length in memory.
pub(crate) fn length_usize(length: u32) -> usize {
    usize::try_from(length).expect("memory is addressed with at least 32 bits")
}

/// A length in memory as a length on the disk.
pub(crate) fn length_u64(length: usize) -> u64 {
    u64::try_from(length).expect("memory is addressed with at most 64 bits")
}

/// Fields coming in, one after the other; every read past the end is an error, never a panic.
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Malformed("cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Malformed("cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }
    pub(crate) fn u128(&mut self) -> Result<u128, Malformed> {
        self.array().map(u128::from_be_bytes)
    }
    pub(crate) fn short(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }
    pub(crate) fn long(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.bytes(length_usize(length))
    }
    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.short()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed("text is not UTF-8"))
    }
    /// 0 or 1, nothing else, so that there is one way to write each value.
    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a flag is neither 0 nor 1")),
        }
    }
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("bytes left over")) }
    }
}
