//! JSON lines, written while the replay goes on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{DivergenceRow, Facts, Sink, SlotRecord, SlotRow, TransactionRow};
use crate::output::OutputError;

/// Writes the transactions and divergences of a slot and then the slot itself; the run comes last.
pub(crate) struct LinesSink {
    writer: BufWriter<File>,
    path: PathBuf,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Transaction(&'a TransactionRow),
    Divergence(&'a DivergenceRow),
    Slot(&'a SlotRow),
    Run(&'a Facts),
}

impl LinesSink {
    /// Begins the file, in place of one that is there.
    pub(crate) fn create(path: &Path) -> Result<Self, OutputError> {
        let file = File::create(path).map_err(OutputError::at(path))?;
        Ok(Self {
            writer: BufWriter::new(file),
            path: path.to_owned(),
        })
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, line)?;
        self.writer.write_all(b"\n")
    }

    fn lines(&mut self, record: &SlotRecord) -> io::Result<()> {
        record
            .transactions
            .iter()
            .try_for_each(|row| self.line(&Line::Transaction(row)))?;
        record
            .divergences
            .iter()
            .try_for_each(|row| self.line(&Line::Divergence(row)))?;
        self.line(&Line::Slot(&record.totals))?;
        self.writer.flush()
    }
}

impl Sink for LinesSink {
    fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
        self.lines(record).map_err(OutputError::at(&self.path))
    }

    fn finish(mut self: Box<Self>, facts: &Facts) -> Result<(), OutputError> {
        self.line(&Line::Run(facts))
            .and_then(|()| self.writer.flush())
            .map_err(OutputError::at(&self.path))
    }
}
