//! Values that wait on disk until it is their turn, one JSON text a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::output::OutputError;

/// A temporary file of values, which the system removes with the process.
#[derive(Debug)]
pub(crate) struct Spool {
    writer: BufWriter<File>,
    count: u64,
}

impl Spool {
    /// An empty spool in the system's temporary directory.
    pub(crate) fn new() -> Result<Self, OutputError> {
        let file = tempfile::tempfile().map_err(at_temporary_directory())?;
        Ok(Self {
            writer: BufWriter::new(file),
            count: 0,
        })
    }

    /// Adds a value.
    pub(crate) fn push(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        self.try_push(value).map_err(at_temporary_directory())
    }

    /// Writes the values, separated by commas, as the inside of a JSON array.
    pub(crate) fn write_elements(self, to: &mut dyn Write) -> io::Result<()> {
        let count = self.count;
        let mut lines = self.rewind()?.lines();
        for index in 1..=count {
            let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
            to.write_all(line.as_bytes())?;
            to.write_all(if index < count { b",\n" } else { b"\n" })?;
        }
        Ok(())
    }

    /// Gives every value to `take`, in the order in which they came.
    pub(crate) fn drain<T: DeserializeOwned>(
        self,
        mut take: impl FnMut(T) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let reader = self.rewind().map_err(at_temporary_directory())?;
        for line in reader.lines() {
            let value = line
                .and_then(|line| Ok(serde_json::from_str(&line)?))
                .map_err(at_temporary_directory())?;
            take(value)?;
        }
        Ok(())
    }

    fn try_push(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, value)?;
        self.writer.write_all(b"\n")?;
        self.count += 1;
        Ok(())
    }

    fn rewind(self) -> io::Result<BufReader<File>> {
        let mut file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(BufReader::new(file))
    }
}

fn at_temporary_directory() -> impl FnOnce(io::Error) -> OutputError {
    OutputError::at(&std::env::temp_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_order() {
        let mut spool = Spool::new().expect("a spool");
        for value in ["a", "b\n", "c"] {
            spool.push(&value).expect("written");
        }
        let mut values = Vec::new();
        let take = |value: String| {
            values.push(value);
            Ok(())
        };
        spool.drain(take).expect("read");
        assert_eq!(values, ["a", "b\n", "c"]);
    }

    #[test]
    fn elements_are_those_of_an_array() {
        let elements = |values: &[u8]| {
            let mut spool = Spool::new().expect("a spool");
            values.iter().for_each(|value| spool.push(value).expect("written"));
            let mut text = Vec::new();
            spool.write_elements(&mut text).expect("written");
            String::from_utf8(text).expect("ASCII")
        };
        assert_eq!(elements(&[]), "");
        assert_eq!(elements(&[1]), "1\n");
        assert_eq!(elements(&[1, 2]), "1,\n2\n");
    }
}
