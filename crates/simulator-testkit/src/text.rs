//! Text files that may be packed, as the files of a ledger directory are: plain, `.gz` or `.zst`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// How a text file is packed; its name says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// gzip, `.gz`.
    Gzip,
    /// Zstandard, `.zst`.
    Zstd,
}

/// Why a file could not be read, understood or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused, or the packing is damaged.
    #[error("cannot read or write {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line is not what the file should hold.
    #[error("line {line} of {path} is not what is expected there")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A directory lacks a file, plain or packed.
    #[error("{directory} holds no {name}, {name}.gz or {name}.zst")]
    Missing {
        /// The directory.
        directory: PathBuf,
        /// The plain name of the file.
        name: String,
    },
}

impl FileError {
    /// Names the file in an error of the system: `.map_err(FileError::io(path))`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

impl Packing {
    /// What the packing adds to a file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The packing that a file's name tells.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Finds `name`, plain or packed, in `directory`.
pub fn find(directory: &Path, name: &str) -> Result<PathBuf, FileError> {
    [Packing::Plain, Packing::Gzip, Packing::Zstd]
        .into_iter()
        .map(|packing| directory.join(format!("{name}{}", packing.suffix())))
        .find(|path| path.is_file())
        .ok_or_else(|| FileError::Missing {
            directory: directory.to_owned(),
            name: name.to_owned(),
        })
}

/// Opens a text file for reading, unpacking it as its name says.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, FileError> {
    let file = BufReader::new(File::open(path).map_err(FileError::io(path))?);
    Ok(match Packing::of(path) {
        Packing::Plain => Box::new(file),
        Packing::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        Packing::Zstd => Box::new(BufReader::new(
            zstd::Decoder::with_buffer(file).map_err(FileError::io(path))?,
        )),
    })
}

/// Reads a text file line by line. Empty lines count, but are left out.
pub fn lines(path: &Path) -> Result<impl Iterator<Item = Result<Line, FileError>>, FileError> {
    let name = path.to_owned();
    let numbered = open(path)?.lines().enumerate();
    Ok(numbered.filter_map(move |(index, text)| match text {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(Ok(Line {
            number: index + 1,
            text,
        })),
        Err(error) => Some(Err(FileError::io(&name)(error))),
    }))
}

/// One line of a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, counted from 1.
    pub number: usize,
    /// Its text, without the line break.
    pub text: String,
}

impl Line {
    /// The line as JSON; an error names `path`.
    pub fn parse<T: serde::de::DeserializeOwned>(&self, path: &Path) -> Result<T, FileError> {
        let line = self.number;
        serde_json::from_str(&self.text).map_err(|source| FileError::Line {
            path: path.to_owned(),
            line,
            source,
        })
    }
}

/// Writes a text file, packing it as its name says. Nothing is complete before [`Writer::finish`].
pub struct Writer {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Writer {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        Self::packed(path, Packing::of(path))
    }

    /// Creates the file packed in a way that its name does not tell: for a temporary name.
    pub fn packed(path: &Path, packing: Packing) -> Result<Self, FileError> {
        let file = BufWriter::new(File::create(path).map_err(FileError::io(path))?);
        let sink = match packing {
            Packing::Plain => Sink::Plain(file),
            Packing::Gzip => Sink::Gzip(GzEncoder::new(file, flate2::Compression::fast())),
            Packing::Zstd => Sink::Zstd(zstd::Encoder::new(file, 1).map_err(FileError::io(path))?),
        };
        Ok(Self {
            path: path.to_owned(),
            sink,
        })
    }

    /// Writes one line.
    pub fn line(&mut self, text: &str) -> Result<(), FileError> {
        let sink = self.sink.as_write();
        sink.write_all(text.as_bytes())
            .and_then(|()| sink.write_all(b"\n"))
            .map_err(FileError::io(&self.path))
    }

    /// Writes one line of JSON.
    pub fn json(&mut self, value: &impl serde::Serialize) -> Result<(), FileError> {
        let text = serde_json::to_string(value).expect("what the test kit writes has string keys and finite numbers");
        self.line(&text)
    }

    /// Completes the file.
    pub fn finish(self) -> Result<(), FileError> {
        self.sink
            .finish()
            .and_then(|mut file| file.flush())
            .map_err(FileError::io(&self.path))
    }
}

impl Sink {
    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(sink) => sink,
            Self::Gzip(sink) => sink,
            Self::Zstd(sink) => sink,
        }
    }

    fn finish(self) -> io::Result<BufWriter<File>> {
        match self {
            Self::Plain(sink) => Ok(sink),
            Self::Gzip(sink) => sink.finish(),
            Self::Zstd(sink) => sink.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packing_gives_the_lines_back() {
        let folder = tempfile::tempdir().unwrap();
        for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
            let path = folder.path().join(format!("text{}", packing.suffix()));
            let mut writer = Writer::create(&path).unwrap();
            for text in ["one", "", "three"] {
                writer.line(text).unwrap();
            }
            writer.finish().unwrap();

            let read: Vec<_> = lines(&path).unwrap().map(|line| line.unwrap()).collect();
            let expected = [(1, "one"), (3, "three")].map(|(number, text)| Line {
                number,
                text: text.to_owned(),
            });
            assert_eq!(read, expected, "{packing:?}");
            assert_eq!(find(folder.path(), "text").unwrap(), path);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(folder.path(), "blocks.jsonl").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("holds no blocks.jsonl, blocks.jsonl.gz or blocks.jsonl.zst"),
            "{error}"
        );
        assert!(matches!(
            lines(&folder.path().join("nothing")),
            Err(FileError::Io { .. })
        ));
    }

    #[test]
    fn a_line_that_is_not_json_is_named() {
        let line = Line {
            number: 7,
            text: "{".to_owned(),
        };
        let error = line.parse::<serde_json::Value>(Path::new("file")).unwrap_err();
        assert_eq!(error.to_string(), "line 7 of file is not what is expected there");
    }
}
