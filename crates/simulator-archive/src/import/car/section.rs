//! The sections of a CAR file: each a length, an identifier and a node. (IPLD, "CARv1"; multiformats, "CID")

use std::io::{BufRead, ErrorKind, Read};

use sha2::{Digest as _, Sha256};

use super::error::CarProblem;

/// The longest section. Old Faithful keeps nodes below about 1 MiB, its indexes of an epoch aside.
const MAX_SECTION: u64 = 64 << 20;

/// Version 1, DAG-CBOR, SHA2-256 with 32 bytes: the kind of identifier of every node.
const IDENTIFIER: [u8; 4] = [1, 0x71, 0x12, 32];

/// A node and its identifier.
#[derive(Debug)]
pub(super) struct Section {
    /// Where it starts in the file.
    pub(super) offset: u64,
    pub(super) identifier: [u8; 36],
    pub(super) node: Vec<u8>,
}

/// Reads sections one after the other.
pub(super) struct Sections<R> {
    reader: R,
    offset: u64,
}

impl<R: BufRead> Sections<R> {
    /// Reads the head of the file.
    pub(super) fn open(reader: R) -> Result<Self, CarProblem> {
        let mut sections = Self { reader, offset: 0 };
        let header = |what| CarProblem::Header { what };
        let Some(length) = sections.length()? else {
            return Err(header("it is empty"));
        };
        if length > 1 << 16 {
            return Err(header("its head is too long"));
        }
        let bytes = sections.read(length)?;
        match bytes.windows(9).any(|window| window == b"gversion\x01") {
            true => Ok(sections),
            false => Err(header("its head names no version, or another one")),
        }
    }

    /// How much of the file has been read, decompressed.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next section, whose node is the one that its identifier names. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Section>, CarProblem> {
        let offset = self.offset;
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        if length > MAX_SECTION {
            return Err(CarProblem::Node {
                what: "it is longer than any node",
            });
        }
        let mut node = self.read(length)?;
        let identifier = *node
            .first_chunk::<36>()
            .filter(|identifier| identifier.starts_with(&IDENTIFIER))
            .ok_or(CarProblem::Node {
                what: "its identifier is not of the kind that Old Faithful uses",
            })?;
        node.drain(..identifier.len());
        match Sha256::digest(&node)[..] == identifier[4..] {
            true => Ok(Some(Section {
                offset,
                identifier,
                node,
            })),
            false => Err(CarProblem::Digest),
        }
    }

    /// A number in groups of seven bits, the lowest first; none at the end of the file.
    fn length(&mut self) -> Result<Option<u64>, CarProblem> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let mut byte = [0];
            if self.reader.read(&mut byte).map_err(problem)? == 0 {
                return match shift {
                    0 => Ok(None),
                    _ => Err(CarProblem::Truncated),
                };
            }
            self.offset += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(Some(value));
            }
        }
        Err(CarProblem::Node {
            what: "its length is malformed",
        })
    }

    /// The buffer grows with what really comes.
    fn read(&mut self, length: u64) -> Result<Vec<u8>, CarProblem> {
        let mut bytes = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(problem)?;
        self.offset += read as u64;
        match read as u64 == length {
            true => Ok(bytes),
            false => Err(CarProblem::Truncated),
        }
    }
}

/// The identifier of a link, if it is that of a node in this file. Links to nothing hold their content, which is empty.
pub(super) fn identifier(link: &[u8]) -> Result<Option<[u8; 36]>, CarProblem> {
    match link {
        [1, _, 0, 0] => Ok(None),
        _ => link.try_into().map(Some).map_err(|_| CarProblem::Node {
            what: "a link is not of the kind that Old Faithful uses",
        }),
    }
}

fn problem(error: std::io::Error) -> CarProblem {
    match error.kind() {
        ErrorKind::UnexpectedEof => CarProblem::Truncated,
        _ => CarProblem::Read(error),
    }
}
