//! Files that are imported: found, opened, decompressed, and digested as they are read.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::error::ImportError;
use crate::digest::Digest;
use crate::manifest::SourceFile;

/// How much of a file is read at a time, in bytes.
const READ: usize = 256 << 10;

/// A file to import.
#[derive(Clone, Debug)]
pub(super) struct InputFile {
    path: PathBuf,
    name: String,
    /// Size in bytes, as stored.
    pub(super) size: u64,
    /// When it was changed last, in nanoseconds since 1970, where the system knows.
    changed: Option<u128>,
}

/// Sees every byte of a file as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    name: String,
    seen: Rc<RefCell<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    hasher: blake3::Hasher,
    size: u64,
}

struct Metered {
    file: File,
    seen: Rc<RefCell<Seen>>,
}

impl InputFile {
    /// The file at a path.
    pub(super) fn at(path: &Path) -> Result<Self, ImportError> {
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let metadata = std::fs::metadata(path).and_then(|metadata| match metadata.is_file() {
            true => Ok(metadata),
            false => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        });
        match metadata {
            Ok(metadata) => Ok(Self {
                path: path.to_owned(),
                name,
                size: metadata.len(),
                changed: changed(&metadata),
            }),
            Err(source) => Err(ImportError::Open {
                path: path.to_owned(),
                source,
            }),
        }
    }

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
                changed: changed(&metadata),
            });
        }
        Ok(found)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a file of this content is known by, without reading it.
    pub(super) fn identity(&self) -> String {
        format!("{} {} {:?}", self.name, self.size, self.changed)
    }

    /// Opens the file. What is read comes out decompressed, by the ending of the name.
    pub(super) fn open(&self) -> Result<(Box<dyn BufRead>, Meter), ImportError> {
        let meter = Meter {
            name: self.name.clone(),
            seen: Rc::default(),
        };
        match self.decompressed(Rc::clone(&meter.seen)) {
            Ok(reader) => Ok((reader, meter)),
            Err(source) => Err(ImportError::Open {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn decompressed(&self, seen: Rc<RefCell<Seen>>) -> io::Result<Box<dyn BufRead>> {
        let file = File::open(&self.path)?;
        let stored = BufReader::with_capacity(READ, Metered { file, seen });
        Ok(match self.path.extension().and_then(|extension| extension.to_str()) {
            Some("gz" | "tgz") => Box::new(BufReader::with_capacity(READ, MultiGzDecoder::new(stored))),
            Some("zst") => {
                let decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
                Box::new(BufReader::with_capacity(READ, decoder))
            }
            _ => Box::new(stored),
        })
    }
}

fn changed(metadata: &std::fs::Metadata) -> Option<u128> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_nanos())
}

impl Meter {
    /// How many bytes of the file have been read, as stored.
    pub(super) fn bytes_read(&self) -> u64 {
        self.seen.borrow().size
    }

    /// What the manifest says about the file, which has been read to its end.
    pub(super) fn source(&self) -> SourceFile {
        let seen = self.seen.borrow();
        SourceFile {
            name: self.name.clone(),
            size: seen.size,
            digest: Digest::from(seen.hasher.finalize()),
        }
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let mut seen = self.seen.borrow_mut();
        seen.hasher.update(&buffer[..read]);
        seen.size += read as u64;
        Ok(read)
    }
}
