//! The primitives of the encoding: little-endian integers, lengths, options, lists.

use bytes::Bytes;

/// Why bytes do not decode. Offsets count from the start of the frame's decompressed bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A value is longer than what is left.
    #[error("at byte {offset}: {needed} bytes are needed and {left} are left")]
    Ended {
        /// Where the value starts.
        offset: usize,
        /// Its size, or the least size that its elements can have.
        needed: u64,
        /// What is left.
        left: usize,
    },
    /// A tag has no meaning.
    #[error("at byte {offset}: {value} is no tag of {what}")]
    Tag {
        /// Where the tag is.
        offset: usize,
        /// What it should be a tag of.
        what: &'static str,
        /// Its value.
        value: u8,
    },
    /// A text is not UTF-8.
    #[error("at byte {offset}: a text is not UTF-8")]
    Utf8 {
        /// Where the text starts.
        offset: usize,
    },
    /// A transaction error is unknown.
    #[error("at byte {offset}: a transaction error is unknown")]
    TransactionError {
        /// Where it starts.
        offset: usize,
    },
    /// A value that must not be empty is empty, or one that must not be zero is zero.
    #[error("at byte {offset}: {what} is empty")]
    Empty {
        /// Where the value is.
        offset: usize,
        /// What it is.
        what: &'static str,
    },
    /// Bytes are left over.
    #[error("at byte {offset}: {left} bytes are left over")]
    Trailing {
        /// Where they start.
        offset: usize,
        /// How many there are.
        left: usize,
    },
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
}

impl Encoder {
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    /// Bytes whose number the reader knows.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes whose number the reader does not know.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    /// A record that reaches 4 GiB is refused when its frame is closed, so that a wrapped length is never published.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(count as u32);
    }

    pub(crate) fn list<T>(&mut self, values: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.count(values.len());
        for value in values {
            each(self, value);
        }
    }

    pub(crate) fn optional_list<T>(&mut self, values: Option<&[T]>, each: impl FnMut(&mut Self, &T)) {
        self.option(values, |to, values| to.list(values, each));
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            some(self, value);
        }
    }
}

/// Takes values from a buffer. Checks every length against what is left before it allocates anything.
#[derive(Debug)]
pub(crate) struct Decoder {
    bytes: Bytes,
    offset: usize,
}

impl Decoder {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.offset
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing {
                offset: self.offset,
                left,
            }),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.need(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[self.offset..self.offset + N]);
        self.offset += N;
        Ok(array)
    }

    /// Shares the bytes with the frame instead of copying them.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.count(1)?;
        let bytes = self.bytes.slice(self.offset..self.offset + length);
        self.offset += length;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<String, DecodeError> {
        let offset = self.offset;
        String::from_utf8(self.bytes()?.into()).map_err(|_| DecodeError::Utf8 { offset })
    }

    /// The number of elements that follow, of which each has at least `size` bytes.
    fn count(&mut self, size: usize) -> Result<usize, DecodeError> {
        let offset = self.offset;
        let count = self.u32()?;
        let needed = u64::from(count) * size as u64;
        if needed > self.left() as u64 {
            return Err(DecodeError::Ended {
                offset,
                needed,
                left: self.left(),
            });
        }
        Ok(count as usize)
    }

    /// A list of elements that have at least `size` bytes each.
    pub(crate) fn list<T>(
        &mut self,
        size: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(size)?;
        (0..count).map(|_| each(self)).collect()
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        let offset = self.offset;
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Tag { offset, what, value }),
        }
    }

    pub(crate) fn option<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.flag("an optional value")? {
            true => some(self).map(Some),
            false => Ok(None),
        }
    }

    fn need(&self, needed: u64) -> Result<(), DecodeError> {
        if needed > self.left() as u64 {
            return Err(DecodeError::Ended {
                offset: self.offset,
                needed,
                left: self.left(),
            });
        }
        Ok(())
    }
}
