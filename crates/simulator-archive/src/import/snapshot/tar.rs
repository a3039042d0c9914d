//! Tar archives, read as they pass. (POSIX pax, "ustar Interchange Format"; GNU tar, "Basic Tar Format".)

use std::io::{BufRead, ErrorKind};

use super::error::SnapshotProblem;

const BLOCK: u64 = 512;

/// The longest name, and the longest list of extended attributes, that are read into memory.
const MAX_NAME: u64 = 4096;
const MAX_ATTRIBUTES: u64 = 64 << 10;

/// The largest entry that makes sense: sums of it and a few blocks do not overflow.
const MAX_SIZE: u64 = 1 << 62;

/// A tar archive, and where in it we are.
pub(super) struct Tar<R> {
    reader: R,
    /// Bytes read so far.
    offset: u64,
    /// Bytes of the current entry that have not been read, and what follows to the next block.
    left: u64,
    padding: u64,
    size: u64,
}

/// An entry. Its contents are read from the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: EntryKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
}

/// What extended headers say about the entry after them.
#[derive(Debug, Default)]
struct Attributes {
    name: Option<String>,
    size: Option<u64>,
}

/// One of them, and what follows it.
struct Attribute<'a> {
    key: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

impl<R: BufRead> Tar<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            offset: 0,
            left: 0,
            padding: 0,
            size: 0,
        }
    }

    /// Goes to the next entry, over what was not read of this one. `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, SnapshotProblem> {
        let mut attributes = Attributes::default();
        loop {
            self.pass(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let mut header = [0; BLOCK as usize];
            self.fill(&mut header)?;
            if header == [0; BLOCK as usize] {
                return Ok(None);
            }
            self.check_sum(&header)?;
            let size = self.number(&header[124..136])?;
            match header[156] {
                b'L' => attributes.name = Some(self.long_name(size)?),
                b'x' => self.extended(size, &mut attributes)?,
                b'g' => self.begin(size)?,
                b'0' | 0 | b'7' => return self.entry(&header, size, attributes, EntryKind::File).map(Some),
                b'5' => return self.entry(&header, size, attributes, EntryKind::Directory).map(Some),
                b'S' => return Err(self.malformed("an entry is stored with holes, which is not supported")),
                _ => return Err(self.malformed("an entry is neither a file nor a directory")),
            }
        }
    }

    /// How many bytes of the entry have not been read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// How many bytes of the entry have been read.
    pub(super) fn position(&self) -> u64 {
        self.size - self.left
    }

    /// Reads so many bytes of the entry, which has them.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<(), SnapshotProblem> {
        debug_assert!(buffer.len() as u64 <= self.left);
        self.left -= buffer.len() as u64;
        self.fill(buffer)
    }

    /// Reads so many bytes of the entry, which has them. The buffer grows with what really comes.
    pub(super) fn read_vec(&mut self, mut size: u64) -> Result<Vec<u8>, SnapshotProblem> {
        debug_assert!(size <= self.left);
        self.left -= size;
        let mut bytes = Vec::new();
        while size > 0 {
            let piece = self.buffered(size)?;
            bytes.extend_from_slice(piece);
            let read = piece.len();
            self.consume(read);
            size -= read as u64;
        }
        Ok(bytes)
    }

    /// Passes over so many bytes of the entry, which has them.
    pub(super) fn skip(&mut self, size: u64) -> Result<(), SnapshotProblem> {
        debug_assert!(size <= self.left);
        self.left -= size;
        self.pass(size)
    }

    /// Reads what is behind the end of the archive, so that all of the file has been seen.
    pub(super) fn finish(mut self) -> Result<(), SnapshotProblem> {
        loop {
            match self.reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(buffer) => {
                    let read = buffer.len();
                    self.reader.consume(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(SnapshotProblem::Read(error)),
            }
        }
    }

    fn entry(
        &mut self,
        header: &[u8],
        size: u64,
        attributes: Attributes,
        kind: EntryKind,
    ) -> Result<Entry, SnapshotProblem> {
        let name = match attributes.name {
            Some(name) => name,
            None => self.name(header)?,
        };
        self.begin(attributes.size.unwrap_or(size))?;
        let name = name.trim_start_matches("./").to_owned();
        Ok(Entry { name, kind })
    }

    fn begin(&mut self, size: u64) -> Result<(), SnapshotProblem> {
        if size > MAX_SIZE {
            return Err(self.malformed("an entry is larger than any file"));
        }
        self.size = size;
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    fn long_name(&mut self, size: u64) -> Result<String, SnapshotProblem> {
        if size > MAX_NAME {
            return Err(self.malformed("a name is too long"));
        }
        self.begin(size)?;
        let name = self.read_vec(size)?;
        self.text(&name)
    }

    /// A list of `LENGTH KEY=VALUE\n`, in which the length counts itself.
    fn extended(&mut self, size: u64, attributes: &mut Attributes) -> Result<(), SnapshotProblem> {
        if size > MAX_ATTRIBUTES {
            return Err(self.malformed("a list of attributes is too long"));
        }
        self.begin(size)?;
        let bytes = self.read_vec(size)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let attribute = attribute(rest).ok_or_else(|| self.malformed("an attribute is malformed"))?;
            match attribute.key {
                b"path" => attributes.name = Some(self.text(attribute.value)?),
                b"size" => attributes.size = Some(self.number_of(attribute.value, 10)?),
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(self.malformed("an entry is stored with holes, which is not supported"));
                }
                _ => {}
            }
            rest = attribute.rest;
        }
        Ok(())
    }

    /// POSIX archives split long names in two.
    fn name(&self, header: &[u8]) -> Result<String, SnapshotProblem> {
        let name = self.text(&header[..100])?;
        let prefix = match &header[257..263] {
            b"ustar\0" => self.text(&header[345..500])?,
            _ => String::new(),
        };
        Ok(if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        })
    }

    fn text(&self, bytes: &[u8]) -> Result<String, SnapshotProblem> {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        match std::str::from_utf8(&bytes[..end]) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.malformed("a name is not UTF-8")),
        }
    }

    /// The sum of the header's bytes, with blanks in the place of the sum itself.
    fn check_sum(&self, header: &[u8]) -> Result<(), SnapshotProblem> {
        let bytes = header.iter().enumerate();
        let sum: u64 = bytes
            .map(|(index, byte)| {
                if (148..156).contains(&index) {
                    32
                } else {
                    u64::from(*byte)
                }
            })
            .sum();
        match self.number(&header[148..156])? == sum {
            true => Ok(()),
            false => Err(self.malformed("there is no header of a tar archive")),
        }
    }

    /// Octal digits, or a big-endian number after a byte that says so.
    fn number(&self, field: &[u8]) -> Result<u64, SnapshotProblem> {
        if field[0] & 0x80 == 0 {
            let digits = field.split(|byte| *byte == 0).next().unwrap_or_default();
            return self.number_of(digits.trim_ascii(), 8);
        }
        let (high, low) = field.split_at(field.len() - 8);
        let is_small = high.first() == Some(&0x80) && high[1..].iter().all(|byte| *byte == 0);
        match (is_small, low.first_chunk()) {
            (true, Some(low)) => Ok(u64::from_be_bytes(*low)),
            _ => Err(self.malformed("a number is too large")),
        }
    }

    fn number_of(&self, digits: &[u8], radix: u32) -> Result<u64, SnapshotProblem> {
        let text = std::str::from_utf8(digits).unwrap_or("?");
        u64::from_str_radix(text, radix).map_err(|_| self.malformed("there is no number where one should be"))
    }

    fn malformed(&self, what: &'static str) -> SnapshotProblem {
        SnapshotProblem::Tar {
            offset: self.offset,
            what,
        }
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), SnapshotProblem> {
        while !buffer.is_empty() {
            let piece = self.buffered(buffer.len() as u64)?;
            let read = piece.len();
            buffer[..read].copy_from_slice(piece);
            self.consume(read);
            buffer = &mut buffer[read..];
        }
        Ok(())
    }

    fn pass(&mut self, mut size: u64) -> Result<(), SnapshotProblem> {
        while size > 0 {
            let read = self.buffered(size)?.len();
            self.consume(read);
            size -= read as u64;
        }
        Ok(())
    }

    /// Some bytes, at most `size`, and at least one.
    fn buffered(&mut self, size: u64) -> Result<&[u8], SnapshotProblem> {
        let length = loop {
            match self.reader.fill_buf() {
                Ok([]) => return Err(SnapshotProblem::Truncated { offset: self.offset }),
                Ok(buffer) => break buffer.len(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(SnapshotProblem::Truncated { offset: self.offset });
                }
                Err(error) => return Err(SnapshotProblem::Read(error)),
            }
        };
        let buffer = self.reader.fill_buf().map_err(SnapshotProblem::Read)?;
        Ok(&buffer[..length.min(usize::try_from(size).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, read: usize) {
        self.reader.consume(read);
        self.offset += read as u64;
    }
}

/// The first record of a list of attributes.
fn attribute(list: &[u8]) -> Option<Attribute<'_>> {
    let blank = list.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&list[..blank]).ok()?.parse().ok()?;
    let record = list.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(Attribute {
        key: &record[..equals],
        value: &record[equals + 1..],
        rest: &list[length..],
    })
}
