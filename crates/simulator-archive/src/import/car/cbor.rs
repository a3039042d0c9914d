//! The part of CBOR that IPLD uses: integers, bytes, lists and links, all of definite length. (RFC 8949; IPLD, "DAG-CBOR")

use super::error::CarProblem;

/// How deep lists may lie in each other.
const MAX_DEPTH: u32 = 16;

/// The tag of a link.
const LINK: u64 = 42;

/// The values of a node, one after the other.
#[derive(Debug)]
pub(super) struct Cbor<'a> {
    bytes: &'a [u8],
}

/// Which kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Major {
    Unsigned,
    Negative,
    Bytes,
    Text,
    List,
    Map,
    Tag,
    Simple,
}

impl<'a> Cbor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Nothing may be left over.
    pub(super) fn finish(self) -> Result<(), CarProblem> {
        match self.bytes {
            [] => Ok(()),
            _ => Err(node("bytes are left over at its end")),
        }
    }

    /// The number of elements of a list, each of which has at least one byte.
    pub(super) fn list(&mut self) -> Result<u64, CarProblem> {
        match self.head()? {
            (Major::List, count) if count <= self.bytes.len() as u64 => Ok(count),
            (Major::List, _) => Err(node("a list is longer than what is left")),
            _ => Err(node("there is no list where one should be")),
        }
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, CarProblem> {
        match self.head()? {
            (Major::Unsigned, value) => Ok(value),
            _ => Err(node("there is no number where one should be")),
        }
    }

    pub(super) fn signed(&mut self) -> Result<i64, CarProblem> {
        let too_large = || node("a number is too large");
        match self.head()? {
            (Major::Unsigned, value) => i64::try_from(value).map_err(|_| too_large()),
            (Major::Negative, value) => i64::try_from(value).map(|value| -1 - value).map_err(|_| too_large()),
            _ => Err(node("there is no number where one should be")),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], CarProblem> {
        match self.head()? {
            (Major::Bytes, length) => self.take(length),
            _ => Err(node("there are no bytes where some should be")),
        }
    }

    /// The identifier that a link names.
    pub(super) fn link(&mut self) -> Result<&'a [u8], CarProblem> {
        match self.head()? {
            (Major::Tag, LINK) => {}
            _ => return Err(node("there is no link where one should be")),
        }
        self.bytes()?
            .strip_prefix(&[0])
            .ok_or_else(|| node("a link is malformed"))
    }

    pub(super) fn links(&mut self) -> Result<Vec<&'a [u8]>, CarProblem> {
        (0..self.list()?).map(|_| self.link()).collect()
    }

    /// The next value, unless it is null.
    pub(super) fn nullable<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, CarProblem>,
    ) -> Result<Option<T>, CarProblem> {
        match self.bytes.strip_prefix(&[0xf6]) {
            Some(rest) => {
                self.bytes = rest;
                Ok(None)
            }
            None => some(self).map(Some),
        }
    }

    /// Passes over so many values.
    pub(super) fn skip(&mut self, values: u64) -> Result<(), CarProblem> {
        self.skip_at(values, 0)
    }

    fn skip_at(&mut self, values: u64, depth: u32) -> Result<(), CarProblem> {
        if depth > MAX_DEPTH {
            return Err(node("lists lie too deep in each other"));
        }
        for _ in 0..values {
            match self.head()? {
                (Major::Unsigned | Major::Negative | Major::Simple, _) => {}
                (Major::Bytes | Major::Text, length) => drop(self.take(length)?),
                (Major::List, count) => self.skip_at(count, depth + 1)?,
                (Major::Map, count) => self.skip_at(count.saturating_mul(2), depth + 1)?,
                (Major::Tag, _) => self.skip_at(1, depth + 1)?,
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(Major, u64), CarProblem> {
        let [first] = *self.take(1)? else {
            return Err(node("it ends too early"));
        };
        let size = match first & 0x1f {
            value @ 0..=23 => return Ok((major(first), value.into())),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(node("a value has no definite length")),
        };
        let value = self.take(size)?;
        let value = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Ok((major(first), value))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CarProblem> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes.split_at_checked(length));
        let (taken, rest) = taken.ok_or_else(|| node("it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }
}

fn major(first: u8) -> Major {
    match first >> 5 {
        0 => Major::Unsigned,
        1 => Major::Negative,
        2 => Major::Bytes,
        3 => Major::Text,
        4 => Major::List,
        5 => Major::Map,
        6 => Major::Tag,
        _ => Major::Simple,
    }
}

fn node(what: &'static str) -> CarProblem {
    CarProblem::Node { what }
}
