//! Files of JSON, read line by line.

use std::io::{BufRead, Read};

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{ImportError, LineError};
use super::input::{InputFile, Meter};

/// The longest line that is read. The largest blocks of mainnet take some 20 MiB.
const MAX_LINE: u64 = 1 << 30;

/// Reads the lines of a file.
pub(super) struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    meter: Meter,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn open(file: &InputFile) -> Result<Self, ImportError> {
        let (reader, meter) = file.open()?;
        Ok(Self {
            name: file.name().to_owned(),
            reader,
            meter,
            number: 0,
            line: Vec::new(),
        })
    }

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

    /// What has been read of the file, as stored.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
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
