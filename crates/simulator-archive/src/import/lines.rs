//! The files of a ledger directory, read line by line.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{ImportError, LineError};
use crate::digest::Digest;
use crate::manifest::SourceFile;

/// The longest line that is read. The largest blocks of mainnet take some 20 MiB.
const MAX_LINE: u64 = 1 << 30;

/// A file of a ledger directory.
#[derive(Clone, Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    name: String,
    /// Size in bytes, as stored.
    pub(super) size: u64,
}

/// Reads the lines of a file.
pub(super) struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    meter: Rc<RefCell<Meter>>,
    number: u64,
    line: Vec<u8>,
}

/// Sees every byte of a file as it is stored.
#[derive(Debug, Default)]
struct Meter {
    hasher: blake3::Hasher,
    size: u64,
}

struct Metered {
    file: File,
    meter: Rc<RefCell<Meter>>,
}

impl LedgerFile {
    /// The file of this name in a directory, or the compressed one.
    pub(super) fn find(directory: &Path, file: &'static str) -> Result<Option<Self>, ImportError> {
        let mut found: Option<Self> = None;
        for name in [file.to_owned(), format!("{file}.gz"), format!("{file}.zst")] {
            let path = directory.join(&name);
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            if let Some(first) = found {
                let directory = directory.to_owned();
                return Err(ImportError::AmbiguousFile {
                    directory,
                    first: first.name,
                    second: name,
                });
            }
            found = Some(Self {
                path,
                name,
                size: metadata.len(),
            });
        }
        Ok(found)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn lines(&self) -> Result<Lines, ImportError> {
        let meter = Rc::new(RefCell::new(Meter::default()));
        let reader = self.open(Rc::clone(&meter)).map_err(|source| ImportError::Read {
            file: self.name.clone(),
            line: 0,
            source,
        })?;
        Ok(Lines {
            name: self.name.clone(),
            reader,
            meter,
            number: 0,
            line: Vec::new(),
        })
    }

    fn open(&self, meter: Rc<RefCell<Meter>>) -> io::Result<Box<dyn BufRead>> {
        let stored = BufReader::with_capacity(
            256 << 10,
            Metered {
                file: File::open(&self.path)?,
                meter,
            },
        );
        Ok(match self.path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(stored))),
            Some("zst") => Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(stored)?)),
            _ => Box::new(stored),
        })
    }
}

impl Lines {
    /// The next line that is not blank, parsed, or `None` after the last.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ImportError> {
        loop {
            if !self.read()? {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                return parse(&self.line).map(Some).map_err(|source| self.error(source));
            }
        }
    }

    /// An error in the line that was read last.
    pub(super) fn error(&self, source: LineError) -> ImportError {
        ImportError::Line {
            file: self.name.clone(),
            line: self.number,
            source,
        }
    }

    /// The number of the line that was read last, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes of the file have been read, as stored.
    pub(super) fn bytes_read(&self) -> u64 {
        self.meter.borrow().size
    }

    /// What the manifest says about the file. All of it has been read: decompressors read on until its end.
    pub(super) fn source(&self) -> SourceFile {
        let meter = self.meter.borrow();
        SourceFile {
            name: self.name.clone(),
            size: meter.size,
            digest: Digest::from(meter.hasher.finalize()),
        }
    }

    fn read(&mut self) -> Result<bool, ImportError> {
        self.line.clear();
        let result = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line);
        let read = result.map_err(|source| ImportError::Read {
            file: self.name.clone(),
            line: self.number,
            source,
        })?;
        self.number += u64::from(read > 0);
        if read as u64 == MAX_LINE {
            return Err(self.error(LineError::TooLong { limit: MAX_LINE }));
        }
        Ok(read > 0)
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let mut meter = self.meter.borrow_mut();
        meter.hasher.update(&buffer[..read]);
        meter.size += read as u64;
        Ok(read)
    }
}

/// Parses a line, and names the field that is wrong.
fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineError> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        json_error(field, error.into_inner())
    })?;
    json.end().map_err(LineError::NotJson)?;
    Ok(value)
}

fn json_error(field: String, source: serde_json::Error) -> LineError {
    match (source.classify(), field.as_str()) {
        (Category::Syntax | Category::Eof | Category::Io, _) => LineError::NotJson(source),
        (Category::Data, ".") => LineError::Shape(source),
        (Category::Data, _) => LineError::Field { field, source },
    }
}
