//! The one JSON object of a run.
//!
//! What stands first in it is known last, so the parts that grow with the range wait in temporary files.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::spool::Spool;
use super::{Facts, Sink, SlotRecord};
use crate::output::{OutputError, WholeFile};

/// Writes the object when the run has ended.
pub(crate) struct DocumentSink {
    target: Target,
    divergences: Spool,
    transactions: Option<Spool>,
}

enum Target {
    Stdout,
    File(WholeFile),
}

/// Whether the object has a list of all transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transactions {
    List,
    Omit,
}

impl DocumentSink {
    /// An object for standard output.
    pub(crate) fn stdout(transactions: Transactions) -> Result<Self, OutputError> {
        Self::new(Target::Stdout, transactions)
    }

    /// An object with all transactions for a file, which gets its name when it is complete.
    pub(crate) fn file(path: &Path) -> Result<Self, OutputError> {
        Self::new(Target::File(WholeFile::create(path)?), Transactions::List)
    }

    fn new(target: Target, transactions: Transactions) -> Result<Self, OutputError> {
        let transactions = match transactions {
            Transactions::List => Some(Spool::new()?),
            Transactions::Omit => None,
        };
        Ok(Self {
            target,
            divergences: Spool::new()?,
            transactions,
        })
    }
}

impl Sink for DocumentSink {
    fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
        record
            .divergences
            .iter()
            .try_for_each(|row| self.divergences.push(row))?;
        match &mut self.transactions {
            Some(spool) => record.transactions.iter().try_for_each(|row| spool.push(row)),
            None => Ok(()),
        }
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<(), OutputError> {
        let Self {
            target,
            divergences,
            transactions,
        } = *self;
        match target {
            Target::Stdout => {
                let mut stdout = io::BufWriter::new(io::stdout().lock());
                assemble(&mut stdout, facts, divergences, transactions)
                    .and_then(|()| stdout.flush())
                    .map_err(OutputError::stdout)
            }
            Target::File(mut file) => {
                assemble(&mut file, facts, divergences, transactions).map_err(OutputError::at(file.path()))?;
                file.publish()
            }
        }
    }
}

fn assemble(to: &mut dyn Write, facts: &Facts, divergences: Spool, transactions: Option<Spool>) -> io::Result<()> {
    to.write_all(b"{\n")?;
    member(to, "metadata", &facts.metadata)?;
    member(to, "summary", &facts.summary)?;
    member(to, "bank_hashes", &facts.bank_hashes)?;
    member(to, "unreproduced", &facts.unreproduced)?;
    array(to, "divergences", divergences)?;
    if let Some(transactions) = transactions {
        to.write_all(b",\n")?;
        array(to, "transactions", transactions)?;
    }
    to.write_all(b"\n}\n")
}

fn member(to: &mut dyn Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(to, "\"{name}\": ")?;
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b",\n")
}

fn array(to: &mut dyn Write, name: &str, elements: Spool) -> io::Result<()> {
    writeln!(to, "\"{name}\": [")?;
    elements.write_elements(to)?;
    to.write_all(b"]")
}
