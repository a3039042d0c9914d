//! Protocol buffers: fields with numbers, in any order. (Protocol Buffers, "Encoding")

use super::error::RecordProblem;

/// The fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a kind that these records do not use.
    Other,
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next field: its number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, RecordProblem> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(malformed("a field is of an unknown kind")),
        };
        match tag >> 3 {
            0 => Err(malformed("a field has no number")),
            number => Ok(Some((number, value))),
        }
    }

    /// Groups of seven bits, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, RecordProblem> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else {
                return Err(malformed("it ends too early"));
            };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number is too long"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], RecordProblem> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes.split_at_checked(length));
        let (taken, rest) = taken.ok_or_else(|| malformed("it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }
}

impl<'a> Value<'a> {
    pub(super) fn number(self) -> Result<u64, RecordProblem> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(malformed("there is no number where one should be")),
        }
    }

    pub(super) fn flag(self) -> Result<bool, RecordProblem> {
        self.number().map(|number| number != 0)
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], RecordProblem> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(malformed("there are no bytes where some should be")),
        }
    }

    pub(super) fn message(self) -> Result<Message<'a>, RecordProblem> {
        self.bytes().map(Message::new)
    }

    pub(super) fn text(self) -> Result<&'a str, RecordProblem> {
        std::str::from_utf8(self.bytes()?).map_err(|_| malformed("a text is not UTF-8"))
    }

    /// Adds the numbers of a repeated field: one, or several in one piece.
    pub(super) fn numbers(self, to: &mut Vec<u64>) -> Result<(), RecordProblem> {
        let Self::Bytes(bytes) = self else {
            to.push(self.number()?);
            return Ok(());
        };
        let mut packed = Message::new(bytes);
        while !packed.is_empty() {
            to.push(packed.varint()?);
        }
        Ok(())
    }
}

fn malformed(what: &'static str) -> RecordProblem {
    RecordProblem::Malformed { what }
}
